/* SPDX-License-Identifier: Apache-2.0
 * braid bench model: what one network's contest holds, between the file that runs it and the file that tells of it. */
#ifndef BRAID_CLI_BENCH_MODEL_H
#define BRAID_CLI_BENCH_MODEL_H

#include "bench.h"
#include "bench_peers.h"

enum { MODEL_STARTS = 3, MODEL_SLOWEST = 3 };

/* One runtime on one network. */
struct contestant {
  struct child child;
  char log[192], manifest[192];
  double load_ms[MODEL_STARTS];  /* from starting a process to its first result */
  double first_ms[MODEL_STARTS]; /* of that, the inference */
  double min_ms;                 /* of all that count */
  double *round_ms;              /* [rounds] median of the round's turn */
  size_t peak_rss_bytes;
  double difference; /* from Braid's outputs, by their largest value */
  bool out, differs; /* out: does not take part (any more); why says the reason */
  char why[400];
};

struct contest {
  const struct bench_options *o;
  const struct peers *peers;
  int rounds;
  double peak_gflops;
  const char *model;
  struct braid_graph *graph;
  char dir[TEMPDIR_BYTES];
  struct contestant contestant[PEERS_MAX]; /* as in peers */
};

/* Everything that is said of one network, as JSON. */
json_t *contest_json(const struct contest *contest);
/* The same as text, from that JSON. */
void contest_print(const json_t *net);
/* Of each peer that ran: the geometric mean of its ratios over the nets, {name:ratio}. */
json_t *contest_geomeans(const json_t *nets);

#endif
