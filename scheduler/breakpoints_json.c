/* SPDX-License-Identifier: Apache-2.0
 * The breakpoint file (docs/cli.md): {"model","hash","load","premise_holds","ranges":[...],"cuts":[...]}. A range is
 * {"from_mbit","to_mbit","cut","edge_nodes","latency_from_ms","latency_to_ms"}, with null for an infinite rate or
 * latency; a cut is {"edge_nodes","fixed_ms","cloud_ms","bytes_up"}. The edge_nodes of ranges are for people: what is
 * read is the cut's. */
#include "internal.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ reading */

static enum braid_status read_sites(const json_t *entry, const struct braid_graph *graph, uint8_t *site) {
  const json_t *ids = json_object_get(entry, "edge_nodes");
  if (!json_is_array(ids)) return braid_fail(BRAID_EFORMAT, "\"edge_nodes\" is missing or no array");
  int n = braid_graph_size(graph);
  for (int v = 0; v < n; v++) site[v] = braid_graph_node(graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  for (size_t i = 0; i < json_array_size(ids); i++) {
    int id = 0;
    BRAID_TRY(json_int_in(json_array_get(ids, i), "edge_nodes", i, 0, n - 1, &id));
    site[id] = BRAID_EDGE;
  }
  for (int v = 0; v < n; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    for (int k = 0; k < node->n_in && site[v] == BRAID_EDGE; k++)
      if (braid_is_node(node->in[k]) && site[node->in[k]] == BRAID_CLOUD)
        return braid_fail(BRAID_EFORMAT, "node %d '%s' is on the edge but reads node %d, which is in the cloud", v,
                          node->name, node->in[k]);
  }
  return BRAID_OK;
}

static enum braid_status read_cut(const json_t *entry, const struct braid_graph *graph, struct braid_cut *cut) {
  if (!json_is_object(entry)) return braid_fail(BRAID_EFORMAT, "not an object");
  BRAID_TRY(json_get_ns(entry, "fixed_ms", 1e6, COST_FRAME_NS_MAX, &cut->fixed_ns));
  BRAID_TRY(json_get_ns(entry, "cloud_ms", 1e6, COST_FRAME_NS_MAX, &cut->cloud_ns));
  BRAID_TRY(json_get_size(entry, "bytes_up", &cut->up_bytes));
  return read_sites(entry, graph, cut->site);
}

/* A time that may be infinite: null. */
static enum braid_status read_latency(const json_t *entry, const char *key, int64_t *ns) {
  *ns = INT64_MAX;
  return json_get_ns(entry, key, 1e6, 1000 * COST_FRAME_NS_MAX, ns);
}

static enum braid_status read_range(const json_t *entry, int n_cuts, struct braid_breakpoint_range *range) {
  double from = 0, to = (double)INFINITY;
  if (!json_is_object(entry)) return braid_fail(BRAID_EFORMAT, "not an object");
  BRAID_TRY(json_get_real(entry, "from_mbit", 0, 1e30, &from));
  BRAID_TRY(json_get_real(entry, "to_mbit", 0, 1e30, &to));
  BRAID_TRY(json_get_int(entry, "cut", 0, n_cuts - 1, &range->cut));
  range->from_bits_per_s = from * 1e6;
  range->to_bits_per_s = to * 1e6;
  BRAID_TRY(read_latency(entry, "latency_from_ms", &range->latency_from_ns));
  return read_latency(entry, "latency_to_ms", &range->latency_to_ns);
}

/* They must cover all rates, each once; a range so narrow that printing has closed it is found by no rate. */
static enum braid_status check_ranges(const struct braid_breakpoints *bp) {
  double at = 0;
  for (int i = 0; i < bp->n_ranges; i++) {
    const struct braid_breakpoint_range *r = &bp->range[i];
    if (!(r->from_bits_per_s == at && r->to_bits_per_s >= at))
      return braid_fail(BRAID_EFORMAT,
                        "\"ranges\"[%d] is from %g to %g Mbit/s, it must begin at %g and end there or above", i,
                        r->from_bits_per_s / 1e6, r->to_bits_per_s / 1e6, at / 1e6);
    at = r->to_bits_per_s;
  }
  if (!isinf(at))
    return braid_fail(BRAID_EFORMAT, "\"ranges\" end at %g Mbit/s; the last \"to_mbit\" must be null", at / 1e6);
  return BRAID_OK;
}

static enum braid_status count(const json_t *root, const char *key, const json_t **array, int *n) {
  *array = json_object_get(root, key);
  size_t size = json_array_size(*array);
  if (size < 1 || size > BRAID_BREAKPOINTS_MAX)
    return braid_fail(BRAID_EFORMAT, "\"%s\" must be an array of 1..%d entries", key, BRAID_BREAKPOINTS_MAX);
  *n = (int)size;
  return BRAID_OK;
}

static enum braid_status read_cuts(const json_t *cuts, int n, const struct braid_graph *graph,
                                   struct braid_breakpoints *bp) {
  bp->cut = braid_calloc((size_t)n, sizeof *bp->cut);
  if (!bp->cut) return braid_fail(BRAID_ENOMEM, "%d cuts", n);
  for (; bp->n_cuts < n; bp->n_cuts++) {
    struct braid_cut *cut = &bp->cut[bp->n_cuts];
    cut->site = braid_malloc((size_t)bp->n_nodes);
    if (!cut->site) return braid_fail(BRAID_ENOMEM, "a cut of %d nodes", bp->n_nodes);
    enum braid_status status = read_cut(json_array_get(cuts, (size_t)bp->n_cuts), graph, cut);
    if (status == BRAID_OK) continue;
    status = braid_fail_in(status, "\"cuts\"[%d]", bp->n_cuts);
    braid_free(cut->site);
    return status;
  }
  return BRAID_OK;
}

static enum braid_status read_ranges(const json_t *ranges, int n, struct braid_breakpoints *bp) {
  bp->range = braid_calloc((size_t)n, sizeof *bp->range);
  if (!bp->range) return braid_fail(BRAID_ENOMEM, "%d ranges", n);
  bp->n_ranges = n;
  for (int i = 0; i < n; i++) {
    enum braid_status status = read_range(json_array_get(ranges, (size_t)i), bp->n_cuts, &bp->range[i]);
    if (status != BRAID_OK) return braid_fail_in(status, "\"ranges\"[%d]", i);
  }
  return check_ranges(bp);
}

static enum braid_status check_hash(const json_t *root, const struct braid_graph *graph) {
  const char *hash = "";
  char own[65];
  BRAID_TRY(json_get_text(root, "hash", 64, &hash));
  if (!*hash) return BRAID_OK;
  braid_graph_hash_text(graph, own);
  if (strcmp(hash, own) != 0)
    return braid_fail(BRAID_EMISMATCH, "it was made for another network (hash %.12s..., this one is %.12s...)", hash,
                      own);
  return BRAID_OK;
}

static enum braid_status read_table(const json_t *root, const struct braid_graph *graph, struct braid_breakpoints *bp) {
  const json_t *cuts = NULL, *ranges = NULL;
  int n_cuts = 0, n_ranges = 0;
  bp->n_nodes = braid_graph_size(graph);
  bp->load = 1;
  BRAID_TRY(json_get_real(root, "load", 0, 1e6, &bp->load));
  BRAID_TRY(json_get_bool(root, "premise_holds", &bp->premise_holds));
  BRAID_TRY(count(root, "cuts", &cuts, &n_cuts));
  BRAID_TRY(count(root, "ranges", &ranges, &n_ranges));
  BRAID_TRY(read_cuts(cuts, n_cuts, graph, bp));
  BRAID_TRY(read_ranges(ranges, n_ranges, bp));
  return check_hash(root, graph);
}

enum braid_status braid_breakpoints_from_json(const char *text, size_t size, const struct braid_graph *graph,
                                              struct braid_breakpoints **out) {
  json_t *root = NULL;
  /* One cut takes a few bytes a node: room for a table of hundreds of cuts. */
  BRAID_TRY(json_parse(text, size, 16 * braid_graph_size(graph), "breakpoints", &root));
  struct braid_breakpoints *bp = braid_calloc(1, sizeof *bp);
  enum braid_status status =
      bp ? read_table(root, graph, bp) : braid_fail(BRAID_ENOMEM, "breakpoints of %s", braid_graph_name(graph));
  json_decref(root);
  if (status != BRAID_OK) {
    braid_breakpoints_destroy(&bp);
    return status == BRAID_ENOMEM ? status : braid_fail_in(status, "breakpoints");
  }
  *out = bp;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ writing */

static json_t *ms_or_null(int64_t ns) {
  return ns == INT64_MAX ? json_null() : json_real((double)ns / 1e6);
}

static json_t *mbit_or_null(double bits_per_s) {
  return isinf(bits_per_s) ? json_null() : json_real(bits_per_s / 1e6);
}

/* Takes the array; `ok` false: out of memory while filling it. */
static bool put_array(json_t *object, const char *key, json_t *array, bool ok) {
  if (array && ok) return json_put(object, key, array);
  json_decref(array);
  return false;
}

static bool put_sites(json_t *entry, const struct braid_breakpoints *bp, const uint8_t *site) {
  json_t *ids = json_array();
  bool ok = ids != NULL;
  for (int v = 0; v < bp->n_nodes && ok; v++)
    if (site[v] == BRAID_EDGE) ok = json_push(ids, json_integer(v));
  return put_array(entry, "edge_nodes", ids, ok);
}

static bool put_range(json_t *entry, const struct braid_breakpoints *bp, int i) {
  const struct braid_breakpoint_range *r = &bp->range[i];
  return json_put(entry, "from_mbit", mbit_or_null(r->from_bits_per_s)) &&
         json_put(entry, "to_mbit", mbit_or_null(r->to_bits_per_s)) && json_put(entry, "cut", json_integer(r->cut)) &&
         json_put(entry, "latency_from_ms", ms_or_null(r->latency_from_ns)) &&
         json_put(entry, "latency_to_ms", ms_or_null(r->latency_to_ns)) && put_sites(entry, bp, bp->cut[r->cut].site);
}

static bool put_cut(json_t *entry, const struct braid_breakpoints *bp, int i) {
  const struct braid_cut *c = &bp->cut[i];
  return json_put(entry, "fixed_ms", json_real((double)c->fixed_ns / 1e6)) &&
         json_put(entry, "cloud_ms", json_real((double)c->cloud_ns / 1e6)) &&
         json_put(entry, "bytes_up", json_integer((json_int_t)c->up_bytes)) && put_sites(entry, bp, c->site);
}

static bool put_entries(json_t *root, const char *key, const struct braid_breakpoints *bp, int n,
                        bool (*put)(json_t *entry, const struct braid_breakpoints *bp, int i)) {
  json_t *array = json_array();
  bool ok = array != NULL;
  for (int i = 0; i < n && ok; i++) {
    json_t *entry = json_object();
    ok = json_push(array, entry) && put(entry, bp, i); /* takes the entry, whatever comes of it */
  }
  return put_array(root, key, array, ok);
}

static bool put_table(json_t *root, const struct braid_breakpoints *bp, const struct braid_graph *graph) {
  char hash[65];
  braid_graph_hash_text(graph, hash);
  return json_put(root, "model", json_string(braid_graph_name(graph))) && json_put(root, "hash", json_string(hash)) &&
         json_put(root, "load", json_real(bp->load)) &&
         json_put(root, "premise_holds", json_boolean(bp->premise_holds)) &&
         put_entries(root, "ranges", bp, bp->n_ranges, put_range) && put_entries(root, "cuts", bp, bp->n_cuts, put_cut);
}

enum braid_status braid_breakpoints_to_json(const struct braid_breakpoints *bp, const struct braid_graph *graph,
                                            char **text) {
  json_t *root = json_object();
  if (root && put_table(root, bp, graph)) return json_print(root, "breakpoints", text);
  json_decref(root);
  return braid_fail(BRAID_ENOMEM, "breakpoints: writing JSON (or a name that is not UTF-8)");
}
