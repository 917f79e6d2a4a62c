/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A path, or '@' for a name in the abstract space. Returns the address's length; 0: none, or not usable. */
static socklen_t manager_address(struct sockaddr_un *address) {
  const char *path = getenv("NOTIFY_SOCKET");
  size_t length = path ? strlen(path) : 0;
  if (length < 2 || length >= sizeof address->sun_path || (*path != '/' && *path != '@')) return 0;
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(address->sun_path, path, length);
  if (*path == '@') address->sun_path[0] = '\0';
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

void notify_send(const char *format, ...) {
  struct sockaddr_un address;
  socklen_t size = manager_address(&address);
  if (size == 0) return;
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address, size) < 0)
    braid_log(BRAID_LOG_WARN, "the service manager at NOTIFY_SOCKET does not listen: %s", strerror(errno));
  close(fd);
}

int64_t notify_watchdog_ns(void) {
  const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
  char *end;
  if (!usec || (pid && strtoll(pid, NULL, 10) != getpid())) return 0;
  long long us = strtoll(usec, &end, 10);
  if (end == usec || *end || us <= 0 || us > INT64_MAX / 1000) return 0;
  return us * 1000 / 2;
}
