/* SPDX-License-Identifier: Apache-2.0
 * tcp:// addresses. libzmq resolves names late and on its own thread (and not at all when binding), where a typing
 * error would only show as silence; so names are looked up here first. */
#include "link.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

static const char scheme[] = "tcp://";

static bool parse_port(const char *text, int *port) {
  if (strcmp(text, "*") == 0) {
    *port = 0;
    return true;
  }
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 5 || text[digits] != '\0') return false;
  long value = strtol(text, NULL, 10);
  *port = (int)value;
  return value <= 65535;
}

enum braid_status tcp_uri_parse(const char *uri, struct tcp_uri *out) {
  const char *host = uri + strlen(scheme), *colon = strrchr(host, ':');
  if (!colon) return braid_fail(BRAID_EINVAL, "%s: no port; write tcp://HOST:PORT", uri);
  size_t host_bytes = (size_t)(colon - host);
  if (host_bytes == 0 || host_bytes >= sizeof out->host || memchr(host, ':', host_bytes) ||
      memchr(host, '/', host_bytes))
    return braid_fail(BRAID_EINVAL, "%s: bad host; write tcp://HOST:PORT with a name or an IPv4 address", uri);
  if (!parse_port(colon + 1, &out->port))
    return braid_fail(BRAID_EINVAL, "%s: bad port '%s'; write a number from 0 to 65535 or *", uri, colon + 1);
  memcpy(out->host, host, host_bytes);
  out->host[host_bytes] = '\0';
  return BRAID_OK;
}

enum braid_status tcp_uri_resolve(const char *uri, const char *host, char *numeric, size_t size) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
  int failed = getaddrinfo(host, NULL, &hints, &found);
  if (failed) return braid_fail(BRAID_ENOTFOUND, "%s: host '%s' does not resolve: %s", uri, host, gai_strerror(failed));
  const struct sockaddr_in *first = (const struct sockaddr_in *)(const void *)found->ai_addr;
  const char *text = inet_ntop(AF_INET, &first->sin_addr, numeric, (socklen_t)size);
  freeaddrinfo(found);
  return text ? BRAID_OK : braid_fail(BRAID_EIO, "%s: address of '%s' does not fit", uri, host);
}
