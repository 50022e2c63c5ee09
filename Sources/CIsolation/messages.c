#define _GNU_SOURCE
#include "CIsolation.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int wait_for(int socket, short events, int timeout_ms) {
  struct pollfd pending = {.fd = socket, .events = events};
  int found = poll(&pending, 1, timeout_ms);
  if (found > 0) return 0;
  if (found == 0) return -ETIMEDOUT;
  return errno == EINTR ? 0 : -errno;
}

int cisolation_send(int socket, const void *bytes, size_t count, const int *descriptors, int descriptor_count) {
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
  union {
    char room[CMSG_SPACE(sizeof(int) * CISOLATION_DESCRIPTORS)];
    struct cmsghdr align;
  } control;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (descriptor_count > CISOLATION_DESCRIPTORS) return -EINVAL;
  if (descriptor_count > 0) {
    size_t size = sizeof(int) * (size_t)descriptor_count;
    memset(&control, 0, sizeof control);
    message.msg_control = control.room;
    message.msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), descriptors, size);
  }
  for (;;) {
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent >= 0) return (size_t)sent == count ? 0 : -EMSGSIZE;
    if (errno == EAGAIN) {
      int waited = wait_for(socket, POLLOUT, -1);
      if (waited < 0) return waited;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
}

/// Takes the descriptors out of a message; those for which there is no room are closed.
static void take_descriptors(struct msghdr *message, int *descriptors, int *descriptor_count) {
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; index++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof(int));
      if (*descriptor_count < CISOLATION_DESCRIPTORS) descriptors[(*descriptor_count)++] = descriptor;
      else close(descriptor);
    }
  }
}

long cisolation_receive(int socket, void *bytes, size_t room, int timeout_ms, int *descriptors, int *descriptor_count) {
  struct iovec part = {.iov_base = bytes, .iov_len = room};
  union {
    char room[CMSG_SPACE(sizeof(int) * CISOLATION_DESCRIPTORS)];
    struct cmsghdr align;
  } control;
  *descriptor_count = 0;
  for (;;) {
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    ssize_t count = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count >= 0) {
      take_descriptors(&message, descriptors, descriptor_count);
      if (!(message.msg_flags & MSG_TRUNC)) return count;
      while (*descriptor_count > 0) close(descriptors[--*descriptor_count]);
      return -EMSGSIZE;
    }
    if (errno == ECONNRESET) return 0;
    if (errno != EAGAIN && errno != EINTR) return -errno;
    int waited = wait_for(socket, POLLIN, timeout_ms);
    if (waited < 0) return waited;
  }
}

int cisolation_pair(int pair[2]) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 ? 0 : -errno; }

int cisolation_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return -errno;
  return 0;
}

void cisolation_print_lines(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

int cisolation_memory(const char *name, uint64_t length) {
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -errno;
  if (ftruncate(descriptor, (off_t)length) != 0 || fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    int wrong = errno;
    close(descriptor);
    return -wrong;
  }
  return descriptor;
}

int cisolation_keeps_length(int descriptor, uint64_t length) {
  int seals = fcntl(descriptor, F_GET_SEALS);
  struct stat file;
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(descriptor, &file) == 0 && file.st_size >= 0 && (uint64_t)file.st_size >= length;
}

/// What is inherited and not closed on exec would stay open in the child: its descriptors from 4 on are closed there, by itself, at its start.
int cisolation_start(const char *program, char *const arguments[], char *const environment[], int socket, int output, int *process) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int wrong = posix_spawn_file_actions_init(&actions);
  if (wrong != 0) return -wrong;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  // Out of reach of the three that are placed below.
  int high_socket = fcntl(socket, F_DUPFD_CLOEXEC, 16), high_output = fcntl(output, F_DUPFD_CLOEXEC, 16);
  if (high_socket < 0 || high_output < 0) wrong = errno;
  if (wrong == 0) wrong = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (wrong == 0) wrong = posix_spawn_file_actions_adddup2(&actions, high_output, 1);
  if (wrong == 0) wrong = posix_spawn_file_actions_adddup2(&actions, high_output, 2);
  if (wrong == 0) wrong = posix_spawn_file_actions_adddup2(&actions, high_socket, 3);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
  if (wrong == 0) wrong = posix_spawn_file_actions_addclosefrom_np(&actions, 4);
#endif
  if (wrong == 0) wrong = posix_spawn(process, program, &actions, &attributes, arguments, environment);
  if (high_socket >= 0) close(high_socket);
  if (high_output >= 0) close(high_output);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return -wrong;
}

const char *cisolation_signal_name(int signal) {
  static const struct {
    int number;
    const char *name;
  } names[] = {{SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGILL, "SIGILL"},   {SIGFPE, "SIGFPE"}, {SIGKILL, "SIGKILL"},
               {SIGTERM, "SIGTERM"}, {SIGSYS, "SIGSYS"},   {SIGTRAP, "SIGTRAP"}, {SIGXCPU, "SIGXCPU"}, {SIGPIPE, "SIGPIPE"}, {SIGINT, "SIGINT"},
               {SIGHUP, "SIGHUP"},   {SIGQUIT, "SIGQUIT"}};
  for (size_t index = 0; index < sizeof names / sizeof names[0]; index++)
    if (names[index].number == signal) return names[index].name;
  return NULL;
}
