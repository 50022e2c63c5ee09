internal import Hummingbird
internal import HummingbirdTLS
internal import Metrics
internal import ServiceLifecycle
