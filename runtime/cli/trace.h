/* SPDX-License-Identifier: Apache-2.0
 * Measured rates of links over time: CSV with the header time_s,mbps, a row for every change. */
#ifndef BRAID_CLI_TRACE_H
#define BRAID_CLI_TRACE_H

#include "cli.h"

struct trace {
  char name[64]; /* of the file, without folder and .csv */
  int n;
  struct braid_rate_step *step; /* [n] the first at 0; holes are TRACE_HOLE */
  int64_t length_ns;            /* the last step lasts as long as the one before it; then it begins again */
  double mean, p10, p50;        /* bit/s, over time */
};
#define TRACE_HOLE 1.0 /* bit/s in place of none: the simulator wants every frame to end */
#define TRACE_ROWS_MAX 1000000

struct trace_list {
  int n;
  struct trace *trace;
};

/* Files and folders (every .csv in them, by name). CLI_DONE or an exit status after saying what is wrong and where. */
int trace_list_open(const struct cli_list *paths, struct trace_list *out);
void trace_list_close(struct trace_list *list);

/* The step that holds at a time >= 0, of a trace without end. */
int trace_find(const struct trace *trace, int64_t at_ns);
/* Bits that a link busy from `from_ns` on carries until `to_ns`. */
double trace_bits(const struct trace *trace, int64_t from_ns, int64_t to_ns);
/* When `bits` that set out at `from_ns` have gone through. */
int64_t trace_end_ns(const struct trace *trace, int64_t from_ns, double bits);

#endif
