/* SPDX-License-Identifier: Apache-2.0
 * braid bench model: what is said of a network's contest. */
#include "bench_model.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ slowest */

static json_t *layer_json(const struct braid_graph *graph, const struct braid_profile *p, int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  double ns = (double)p->node_ns[id];
  return json_pack("{s:s, s:s, s:f, s:f}", "name", node->name, "op", braid_op_name(node->op), "ms", ns / 1e6, "gflops",
                   ns > 0 ? 2 * (double)node->macs / ns : 0.0);
}

/* [{name,op,ms,gflops}] of the slowest layers, and what the profile calls the machine; NULL on failure. */
static json_t *slowest_json(const struct braid_graph *graph) {
  struct braid_profile_opts opts = {.repeat = 5, .cpu_flags = braid_cpu_flags(), .slow = 1};
  struct braid_profile *p;
  if (braid_profile_measure(graph, &opts, &p) != BRAID_OK) return NULL;
  json_t *list = json_array();
  for (int k = 0; k < MODEL_SLOWEST && k < p->n_nodes; k++) {
    int worst = 0;
    for (int id = 1; id < p->n_nodes; id++)
      if (p->node_ns[id] > p->node_ns[worst]) worst = id;
    json_array_append_new(list, layer_json(graph, p, worst));
    p->node_ns[worst] = -1; /* told */
  }
  json_t *all = json_pack("{s:s, s:o}", "machine", p->machine, "slowest", list);
  braid_profile_destroy(&p);
  return all;
}

/* --------------------------------------------------------------------------------------------------- JSON */

struct ratio {
  double p10, p50, p90;
};

/* Peer's time by Braid's, round by round. */
static struct ratio ratio_of(const double *peer, const double *braid, int n) {
  struct ratio r = {0};
  double *value = braid_malloc(2 * (size_t)n * sizeof *value);
  if (!value) return r;
  for (int i = 0; i < n; i++) {
    value[i] = peer[i] / braid[i];
    value[n + i] = -value[i];
  }
  struct cli_stats up = cli_stats_of(value, n), down = cli_stats_of(value + n, n);
  r = (struct ratio){-down.p90, up.p50, up.p90};
  braid_free(value);
  return r;
}

static json_t *times_json(const struct contest *c, const struct contestant *k, const struct peer *p, double gflop) {
  struct cli_stats t = cli_stats_of(k->round_ms, c->rounds), load = cli_stats_of(k->load_ms, MODEL_STARTS);
  double gflops = gflop / (t.p50 / 1e3);
  return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "name", p->name, "runtime_version", p->version,
                   "min_ms", k->min_ms, "p50_ms", t.p50, "p90_ms", t.p90, "gflops", gflops, "of_peak",
                   c->peak_gflops > 0 ? gflops / c->peak_gflops : 0.0, "load_ms", load.p50, "first_ms",
                   cli_stats_of(k->first_ms, MODEL_STARTS).p50, "peak_rss_bytes", (json_int_t)k->peak_rss_bytes);
}

static json_t *peer_json(const struct contest *c, int i, double gflop) {
  const struct contestant *k = &c->contestant[i];
  if (k->out)
    return json_pack("{s:s, s:s, s:b, s:s}", "name", c->peers->peer[i].name, "runtime_version",
                     c->peers->peer[i].version, "agrees", 0, "error", k->why);
  struct ratio r = ratio_of(k->round_ms, c->contestant[0].round_ms, c->rounds);
  json_t *all = times_json(c, k, &c->peers->peer[i], gflop);
  json_object_update_new(all, json_pack("{s:f, s:f, s:f, s:b, s:f}", "ratio", r.p50, "ratio_p10", r.p10, "ratio_p90",
                                        r.p90, "agrees", 1, "difference", k->difference));
  return all;
}

json_t *contest_json(const struct contest *c) {
  int64_t params, macs, weight_bytes;
  braid_graph_totals(c->graph, &params, &macs, &weight_bytes);
  double gflop = 2e-9 * (double)macs;
  json_t *profile = slowest_json(c->graph), *peers = json_array();
  if (!profile) {
    json_decref(peers);
    return NULL;
  }
  for (int i = 1; i < c->peers->n; i++) json_array_append_new(peers, peer_json(c, i, gflop));
  json_t *net = json_pack("{s:s, s:I, s:i, s:i, s:f, s:o, s:o}", "model", c->model, "macs", (json_int_t)macs, "threads",
                          c->o->threads, "rounds", c->rounds, "peak_gflops", c->peak_gflops, "braid",
                          times_json(c, &c->contestant[0], &c->peers->peer[0], gflop), "peers", peers);
  json_object_update(net, profile);
  json_decref(profile);
  return net;
}

json_t *contest_geomeans(const json_t *nets) {
  json_t *means = json_object(), *net, *peer;
  size_t i, k;
  const char *name;
  json_t *logs = json_object(), *pair; /* name: [sum of logarithms, how many] */
  json_array_foreach(nets, i, net) {
    json_array_foreach(json_object_get(net, "peers"), k, peer) {
      if (!json_object_get(peer, "ratio")) continue;
      name = json_string_value(json_object_get(peer, "name"));
      json_t *old = json_object_get(logs, name);
      double sum = json_number_value(json_array_get(old, 0)), n = json_number_value(json_array_get(old, 1));
      sum += log(json_number_value(json_object_get(peer, "ratio")));
      json_object_set_new(logs, name, json_pack("[f, f]", sum, n + 1));
    }
  }
  json_object_foreach(logs, name, pair) {
    double sum = json_number_value(json_array_get(pair, 0)), n = json_number_value(json_array_get(pair, 1));
    json_object_set_new(means, name, json_real(exp(sum / n)));
  }
  json_decref(logs);
  return means;
}

/* --------------------------------------------------------------------------------------------------- text */

static double at(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static const char *word_at(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

static void print_row(struct cli_table *t, const json_t *k) {
  cli_table_cell(t, "%s %s", word_at(k, "name"), word_at(k, "runtime_version"));
  cli_table_cell(t, "%.2f", at(k, "min_ms"));
  cli_table_cell(t, "%.2f", at(k, "p50_ms"));
  cli_table_cell(t, "%.1f", at(k, "gflops"));
  cli_table_cell(t, "%.1f", 100 * at(k, "of_peak"));
  if (json_object_get(k, "ratio")) {
    cli_table_cell(t, "%.3f", at(k, "ratio"));
    cli_table_cell(t, "%.3f-%.3f", at(k, "ratio_p10"), at(k, "ratio_p90"));
  } else {
    cli_table_cell(t, "1");
    cli_table_cell(t, "%s", "");
  }
  cli_table_cell(t, "%.0f", at(k, "load_ms"));
  cli_table_cell(t, "%.1f", at(k, "peak_rss_bytes") / 1048576);
}

void contest_print(const json_t *net) {
  static const char *const heading[] = {"runtime", "min/ms",  "median/ms", "GFLOP/s",   "% of peak",
                                        "ratio",   "p10-p90", "load/ms",   "memory/MiB"};
  size_t i;
  json_t *k;
  printf("%s: %.3f GMAC, %d thread(s), %d rounds, peak %.1f GFLOP/s\n", word_at(net, "model"), at(net, "macs") / 1e9,
         (int)at(net, "threads"), (int)at(net, "rounds"), at(net, "peak_gflops"));
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  print_row(t, json_object_get(net, "braid"));
  json_array_foreach(json_object_get(net, "peers"), i, k) if (json_object_get(k, "ratio")) print_row(t, k);
  cli_table_print(t, stdout);
  json_array_foreach(json_object_get(net, "peers"), i, k) if (json_object_get(k, "error"))
      printf("%s does not count: %s\n", word_at(k, "name"), word_at(k, "error"));
  printf("slowest layers, one worker:");
  json_array_foreach(json_object_get(net, "slowest"), i, k)
      printf("%s %s (%s) %.3f ms, %.1f GFLOP/s", i ? ";" : "", word_at(k, "name"), word_at(k, "op"), at(k, "ms"),
             at(k, "gflops"));
  printf("\n\n");
  fflush(stdout);
}
