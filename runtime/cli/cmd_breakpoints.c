/* SPDX-License-Identifier: Apache-2.0
 * braid breakpoints: the best serial split at every rate of the uplink, as a table. */
#include "bench_tables.h"
#include "commands.h"
#include "io.h"
#include "planning.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct breakpoints_options {
  struct planning_options p;
  const char *loads, *output;
  bool json;
};
#define FIELD(member) offsetof(struct breakpoints_options, member)
static const struct cli_option options[] = {
    PLANNING_OPTIONS(struct breakpoints_options, p),
    {"loads", 0, CLI_TEXT, FIELD(loads), "K,K,...", NULL,
     "also keep the cuts that are best at these loads of the cloud"},
    {"output", 'o', CLI_TEXT, FIELD(output), "FILE", NULL, "write the table (JSON)"},
    CLI_JSON_OPTION(struct breakpoints_options, json),
};

static enum braid_status add_loads(const char *list, const struct planning *p, struct braid_breakpoints *bp) {
  for (const char *at = list; at && *at;) {
    char *end;
    double load = strtod(at, &end);
    if (end == at || !(load > 0 && load <= 1e6) || (*end && *end != ','))
      return braid_fail(BRAID_EINVAL, "--loads: '%s' is no list of loads like 1,2,4", list);
    BRAID_TRY(braid_breakpoints_add_load(bp, p->graph, &p->costs, &p->goal, load));
    at = *end ? end + 1 : end;
  }
  return BRAID_OK;
}

static void print_text(const struct braid_breakpoints *bp, const struct planning *p, double build_us, double find_ns) {
  static const char *const heading[] = {"from Mbit/s", "to Mbit/s", "edge nodes", "bytes up", "ms at from", "ms at to"};
  printf("%s: %d ranges, built by %d minimum cuts in %.0f us, looked up in %.0f ns; the cloud is %s\n\n",
         braid_graph_name(p->graph), bp->n_ranges, bp->n_built, build_us, find_ns,
         bp->premise_holds ? "nowhere slower than the edge" : "slower than the edge at some nodes");
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  for (int i = 0; i < bp->n_ranges; i++) {
    const struct braid_breakpoint_range *r = &bp->range[i];
    const struct braid_cut *cut = &bp->cut[r->cut];
    int here = 0;
    for (int id = 0; id < bp->n_nodes; id++) here += cut->site[id] == BRAID_EDGE;
    cli_table_cell(t, "%.3f", r->from_bits_per_s / 1e6);
    cli_table_cell(t, isinf(r->to_bits_per_s) ? "inf" : "%.3f", r->to_bits_per_s / 1e6);
    cli_table_cell(t, "%d", here);
    cli_table_cell(t, "%zu", cut->up_bytes);
    cli_table_cell(t, r->latency_from_ns == INT64_MAX ? "inf" : "%.2f", cli_ms(r->latency_from_ns));
    cli_table_cell(t, "%.2f", cli_ms(r->latency_to_ns));
  }
  cli_table_print(t, stdout);
}

static int put(const struct breakpoints_options *o, const struct planning *p, const struct braid_breakpoints *bp,
               double build_us) {
  char *text;
  double find_ns = table_find_ns(bp);
  if (braid_breakpoints_to_json(bp, p->graph, &text) != BRAID_OK) return cli_fail(CLI_FAILED);
  enum braid_status status = o->output ? io_write_file(o->output, text, strlen(text)) : BRAID_OK;
  int exit = status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
  if (exit == CLI_DONE && o->json) {
    json_t *root = json_loads(text, 0, NULL);
    json_object_set_new(root, "n_built", json_integer(bp->n_built));
    json_object_set_new(root, "build_us", json_real(build_us));
    json_object_set_new(root, "lookup_ns", json_real(find_ns));
    exit = cli_print_json(root);
  } else if (exit == CLI_DONE && !(o->output && strcmp(o->output, "-") == 0)) {
    print_text(bp, p, build_us, find_ns);
  }
  braid_free(text);
  return exit;
}

static int run(const void *values, char **args, int n_args) {
  const struct breakpoints_options *o = values;
  struct planning p;
  struct braid_breakpoints *bp = NULL;
  (void)n_args;
  int exit = planning_open(&o->p, args[0], &p);
  if (exit != CLI_DONE) return exit;
  int64_t begin = cli_now_ns();
  enum braid_status status = braid_breakpoints_build(p.graph, &p.costs, &p.goal, &bp);
  double build_us = (double)(cli_now_ns() - begin) / 1e3;
  if (status == BRAID_OK) status = add_loads(o->loads, &p, bp);
  exit = status == BRAID_OK ? put(o, &p, bp, build_us) : cli_fail(CLI_FAILED);
  braid_breakpoints_destroy(&bp);
  planning_close(&p);
  return exit;
}

const struct cli_command cmd_breakpoints = {
    "breakpoints",
    "MODEL",
    "the best serial split at every rate of the uplink",
    "The costs are those of 'braid plan'; --up plays no part, the downlink keeps the rate of --down (or --up). The "
    "table "
    "is exact for every rate: between two breakpoints one set of edge nodes is best, and at run time the best "
    "split is looked up, not computed.",
    1,
    1,
    options,
    CLI_COUNT_OF(options),
    run};
