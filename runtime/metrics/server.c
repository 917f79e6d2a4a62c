/* SPDX-License-Identifier: Apache-2.0
 * HTTP by libmicrohttpd, on a thread of its own. Whoever connects can ask two things; few may at a time, and not for
 * long: a monitor needs no more, and others shall not cost the process anything. */
#include "metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 16, CONNECTIONS_PER_IP = 8, PATIENCE_S = 5, CONNECTION_BYTES = 16 << 10 };

struct metrics_server {
  struct metrics_source source;
  struct MHD_Daemon *daemon;
  char url[128];
};

/* ------------------------------------------------------------------------------------------------ answering */

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *type,
                                   const char *text, size_t bytes) {
  struct MHD_Response *response =
      MHD_create_response_from_buffer(bytes, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
  if (!response) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  enum MHD_Result result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result answer_line(struct MHD_Connection *connection, unsigned status, const char *line) {
  return answer_text(connection, status, "text/plain; charset=utf-8", line, strlen(line));
}

static enum MHD_Result answer_metrics(const struct metrics_server *server, struct MHD_Connection *connection) {
  struct metrics_page *page = NULL;
  size_t bytes = 0;
  const char *text = NULL;
  if (metrics_page_create(&page) == BRAID_OK) {
    server->source.collect(server->source.ctx, page);
    text = metrics_page_text(page, &bytes);
  }
  enum MHD_Result result =
      text ? answer_text(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, bytes)
           : answer_line(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
  metrics_page_destroy(&page);
  return result;
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_bytes, void **begun) {
  const struct metrics_server *server = ctx;
  static int once;
  (void)version;
  (void)upload;
  if (!*begun) { /* the headers are there; what may be uploaded is not taken */
    *begun = &once;
    return MHD_YES;
  }
  *upload_bytes = 0;
  if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
    return answer_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
  if (strcmp(path, "/metrics") == 0) return answer_metrics(server, connection);
  if (strcmp(path, "/healthz") != 0)
    return answer_line(connection, MHD_HTTP_NOT_FOUND, "there are /metrics and /healthz\n");
  return server->source.healthy(server->source.ctx)
             ? answer_line(connection, MHD_HTTP_OK, "ok\n")
             : answer_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "does not move\n");
}

/* ------------------------------------------------------------------------------------------------ listening */

static enum braid_status parse_address(const char *text, struct sockaddr_in *out) {
  char host[256] = "127.0.0.1", *end;
  const char *at = strncmp(text, "tcp://", 6) == 0 ? text + 6 : text, *colon = strrchr(at, ':'),
             *port = colon ? colon + 1 : at;
  if (colon && colon > at) {
    if ((size_t)(colon - at) >= sizeof host) return braid_fail(BRAID_EINVAL, "metrics at '%s': no such host", text);
    snprintf(host, sizeof host, "%.*s", (int)(colon - at), at);
  }
  long number = strtol(port, &end, 10);
  if (end == port || *end || number < 0 || number > 65535)
    return braid_fail(BRAID_EINVAL, "metrics at '%s': write HOST:PORT or PORT", text);
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  int failed = getaddrinfo(strcmp(host, "*") == 0 ? "0.0.0.0" : host, NULL, &hints, &found);
  if (failed) return braid_fail(BRAID_EINVAL, "metrics at '%s': %s", text, gai_strerror(failed));
  memcpy(out, found->ai_addr, sizeof *out);
  freeaddrinfo(found);
  out->sin_port = htons((uint16_t)number);
  return BRAID_OK;
}

static void note_url(struct metrics_server *server, const struct sockaddr_in *address) {
  char host[INET_ADDRSTRLEN] = "";
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
  inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
  snprintf(server->url, sizeof server->url, "http://%s:%d/metrics", host, info ? info->port : ntohs(address->sin_port));
}

static enum braid_status listen_at(struct metrics_server *server, const char *text) {
  struct sockaddr_in address;
  BRAID_TRY(parse_address(text, &address));
  errno = 0;
  server->daemon =
      MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL, answer, server,
                       MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
                       MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_PER_IP, MHD_OPTION_CONNECTION_TIMEOUT,
                       PATIENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
  if (!server->daemon)
    return braid_fail(errno == EADDRINUSE ? BRAID_EBUSY : BRAID_EIO, "metrics at '%s': %s", text,
                      errno ? strerror(errno) : "cannot be served");
  note_url(server, &address);
  return BRAID_OK;
}

enum braid_status metrics_start(const char *address, const struct metrics_source *source, struct metrics_server **out) {
  struct metrics_server *server = braid_calloc(1, sizeof *server);
  if (!server) return braid_fail(BRAID_ENOMEM, "no memory for a metrics server");
  server->source = *source;
  enum braid_status status = listen_at(server, address);
  if (status == BRAID_OK)
    *out = server;
  else
    braid_free(server);
  return status;
}

const char *metrics_url(const struct metrics_server *server) {
  return server->url;
}

void metrics_stop(struct metrics_server **server) {
  if (!*server) return;
  MHD_stop_daemon((*server)->daemon);
  braid_free(*server);
  *server = NULL;
}
