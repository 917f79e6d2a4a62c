/* SPDX-License-Identifier: Apache-2.0
 * --metrics: the figures of an edge, a cloud or a broker, for Prometheus. */
#ifndef BRAID_CLI_EXPOSE_H
#define BRAID_CLI_EXPOSE_H

#include "cli.h"

#define EXPOSE_OPTION(type, member)                                                                                    \
  {                                                                                                                    \
    "metrics", 0, CLI_TEXT, offsetof(type, member), "ADDR", NULL,                                                      \
        "serve figures for Prometheus, and /healthz, at HOST:PORT (PORT alone: on 127.0.0.1)"                          \
  }

struct expose;

/* `address` NULL: nothing is served. What is served outlives the server. CLI_DONE, or an exit status after saying why.
 */
int expose_edge(const char *address, struct braid_edge *edge, struct expose **out);
int expose_cloud(const char *address, struct braid_cloud *cloud, struct expose **out);
int expose_broker(const char *address, struct braid_broker *broker, struct expose **out);
void expose_stop(struct expose **expose);

#endif
