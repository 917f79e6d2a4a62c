/* SPDX-License-Identifier: Apache-2.0
 * Metrics over HTTP, in the Prometheus text exposition format 0.0.4. */
#ifndef RUNTIME_METRICS_H
#define RUNTIME_METRICS_H

#include "braid/base.h"

/* A page under way. Families come one after the other: metrics_family, then its samples. Running out of memory is noted
 * and the page is not served. */
struct metrics_page;

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };
/* `name` by Prometheus's conventions: base units, counters end in "_total". */
void metrics_family(struct metrics_page *page, const char *name, enum metrics_kind kind, const char *help);
/* A sample of the family begun last. `labels` as inside the braces, values escaped by metrics_label; "" for none. */
void metrics_sample(struct metrics_page *page, const char *labels, double value);
/* A family with one sample. */
void metrics_value(struct metrics_page *page, const char *name, enum metrics_kind kind, const char *help, double value);
/* The family begun last is a histogram: [n] upper bounds in seconds, ascending, and how many were at most that (not
 * cumulative: between one bound and the next); count[n] those above. */
void metrics_histogram(struct metrics_page *page, const double *bound_s, const uint64_t *count, int n, double sum_s);
/* `name="value"` with quotes, backslashes and newlines escaped, into buf, cut to its size. Returns buf. */
const char *metrics_label(char *buf, size_t size, const char *name, const char *value);
/* CPU seconds, resident memory, open descriptors, start time of this process, under Prometheus's usual names; build
 * info. */
void metrics_process(struct metrics_page *page);

struct metrics_server;
struct metrics_source {
  void (*collect)(void *ctx, struct metrics_page *page); /* on the server's thread */
  bool (*healthy)(void *ctx);                            /* likewise: /healthz is 200 or 503 */
  void *ctx;
};
/* `address`: "HOST:PORT", "tcp://HOST:PORT", ":PORT" or "PORT" (those on 127.0.0.1); port 0: any. IPv4. Its thread ends
 * with stop. BRAID_EINVAL, BRAID_EBUSY (taken): the message names the address. */
BRAID_NODISCARD enum braid_status metrics_start(const char *address, const struct metrics_source *source,
                                                struct metrics_server **out);
const char *metrics_url(const struct metrics_server *server); /* "http://127.0.0.1:9464/metrics" */
void metrics_stop(struct metrics_server **server);

/* ------------------------------------------------------------------------------------------ for tests and server.c */

BRAID_NODISCARD enum braid_status metrics_page_create(struct metrics_page **out);
/* NULL: out of memory. Freed with the page. */
const char *metrics_page_text(struct metrics_page *page, size_t *bytes);
void metrics_page_destroy(struct metrics_page **page);

#endif
