// SPDX-License-Identifier: Apache-2.0
// A driver that does one thing that would end or harm its host: which is its option `how`, and it does it when it is asked for its health.
// What it is denied it says, as a good driver would.
#define _GNU_SOURCE
#include "skew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

NOTE("misbehaves", 1, 0, 1, 0);

struct how {
  int opened;
  char word[32];
};

static const baton_option_info options[] = {{.size = sizeof options[0], .kind = BATON_OPTION_TEXT, .name = TEXT("how"), .default_value = TEXT(""), .help = TEXT("What it does.")}};

static baton_code open_device(const baton_options *given, baton_device **out, baton_status *status) {
  (void)status;
  struct how *device = calloc(1, sizeof *device);
  if (device == NULL) return BATON_RESOURCE_EXHAUSTED;
  for (uint32_t index = 0; index < given->count; index++)
    if (given->items[index].value.length < sizeof device->word)
      memcpy(device->word, given->items[index].value.data, given->items[index].value.length);
  *out = (baton_device *)device;
  return BATON_OK;
}

static baton_code say(baton_status *status, const char *what, int result) {
  int reason = errno;
  if (status == NULL) return result < 0 ? BATON_PERMISSION_DENIED : BATON_OK;
  status->code = result < 0 ? BATON_PERMISSION_DENIED : BATON_OK;
  status->message_length = (uint32_t)snprintf(status->message, sizeof status->message, "%s: %s", what, result < 0 ? strerror(reason) : "was let");
  return status->code;
}

static volatile int never;

static void leak(void) {
  for (;;) {
    char *piece = malloc(16 << 20);
    if (piece == NULL) abort();
    memset(piece, 1, 16 << 20);
  }
}

static baton_code start_program(baton_status *status) {
  pid_t child = fork();
  if (child == 0) _exit(execl("/bin/true", "true", (char *)NULL));
  if (child > 0) waitpid(child, NULL, 0);
  if (child < 0) return say(status, "a program", -1);
  return say(status, "a program", 0);
}

static baton_code health(baton_device *device, baton_status *status) {
  const char *how = ((struct how *)device)->word;
  if (strcmp(how, "segv") == 0) *(volatile int *)(uintptr_t)(16 + never) = 1;
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "exit") == 0) exit(3);
  if (strcmp(how, "spin") == 0)
    while (!never) {}
  if (strcmp(how, "hang") == 0) pause();
  if (strcmp(how, "leak") == 0) leak();
  if (strcmp(how, "stop") == 0) raise(SIGSTOP);
  if (strcmp(how, "print") == 0) printf("the driver says hello\n");
  if (strcmp(how, "close") == 0)
    for (int descriptor = 3; descriptor < 256; descriptor++) close(descriptor);
  if (strcmp(how, "socket") == 0) return say(status, "a socket", socket(AF_INET, SOCK_STREAM, 0));
  if (strcmp(how, "file") == 0) return say(status, "a file", open("/tmp/baton-misbehaves", O_WRONLY | O_CREAT, 0600));
  if (strcmp(how, "read") == 0) return say(status, "somebody's file", open("/etc/passwd", O_RDONLY));
  if (strcmp(how, "kill") == 0) return say(status, "a signal", kill(getppid(), 0));
  if (strcmp(how, "exec") == 0) return start_program(status);
  return BATON_OK;
}

static const baton_device_table table = {sizeof table, 0, open_device, skew_info, health, skew_quiesce, skew_close};

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  baton_driver driver = skew_driver(TEXT("misbehaves"), (baton_version){1, 0}, (baton_version){1, 0}, skew_choose(host, 0));
  driver.device = &table;
  driver.options = options;
  driver.option_count = 1;
  skew_give(out, driver);
  return driver.abi.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
