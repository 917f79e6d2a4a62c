/* SPDX-License-Identifier: Apache-2.0
 * The plan file (docs/cli.md). By hand, "edge_nodes" is enough: the inputs are on the edge anyway, everything not
 * listed is in the cloud, ranks follow the ids, nodes are not sliced. "slices" and "rank" are arrays by node id and
 * left out where they hold just that; "slices" may also be one number, lowered to what each node allows. "deliver" says
 * where the results are wanted, the edge where it is left out. */
#include "internal.h"
#include "json.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ reading */

static enum braid_status read_edge_nodes(const json_t *root, const struct braid_graph *graph, struct braid_plan *plan) {
  const json_t *ids = json_object_get(root, "edge_nodes");
  if (!json_is_array(ids)) return braid_fail(BRAID_EFORMAT, "\"edge_nodes\" is missing or no array");
  for (int v = 0; v < plan->n_nodes; v++)
    plan->site[v] = braid_graph_node(graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  for (size_t i = 0; i < json_array_size(ids); i++) {
    int id = 0;
    BRAID_TRY(json_int_in(json_array_get(ids, i), "edge_nodes", i, 0, plan->n_nodes - 1, &id));
    plan->site[id] = BRAID_EDGE;
  }
  return BRAID_OK;
}

/* An array with one integer in [min, max] for each node; absent: values stay. */
static enum braid_status read_per_node(const json_t *root, const char *key, int min, int max, int n, int *values) {
  const json_t *array = json_object_get(root, key);
  if (!array || json_is_null(array)) return BRAID_OK;
  if (!json_is_array(array)) return braid_fail(BRAID_EFORMAT, "\"%s\" is no array", key);
  if (json_array_size(array) != (size_t)n)
    return braid_fail(BRAID_EFORMAT, "\"%s\" has %zu entries, the network has %d nodes", key, json_array_size(array),
                      n);
  for (size_t i = 0; i < (size_t)n; i++) BRAID_TRY(json_int_in(json_array_get(array, i), key, i, min, max, &values[i]));
  return BRAID_OK;
}

static enum braid_status read_slices(const json_t *root, const struct braid_graph *graph, struct braid_plan *plan) {
  const json_t *slices = json_object_get(root, "slices");
  if (!json_is_integer(slices))
    return read_per_node(root, "slices", 1, BRAID_PLAN_TASKS_MAX, plan->n_nodes, plan->slices);
  int all = 1;
  BRAID_TRY(json_get_int(root, "slices", 1, BRAID_PLAN_TASKS_MAX, &all));
  plan_set_slices(plan, graph, all);
  return BRAID_OK;
}

static enum braid_status read_texts(const json_t *root, struct braid_plan *plan) {
  const char *policy = "file", *objective = "latency", *deliver = "edge";
  BRAID_TRY(json_get_text(root, "policy", sizeof plan->policy - 1, &policy));
  BRAID_TRY(json_get_text(root, "objective", 16, &objective));
  snprintf(plan->policy, sizeof plan->policy, "%s", policy);
  if (strcmp(objective, "latency") != 0 && strcmp(objective, "throughput") != 0)
    return braid_fail(BRAID_EFORMAT, "\"objective\" is '%s', it must be 'latency' or 'throughput'", objective);
  plan->objective = strcmp(objective, "latency") == 0 ? BRAID_LATENCY : BRAID_THROUGHPUT;
  BRAID_TRY(json_get_text(root, "deliver", 16, &deliver));
  if (strcmp(deliver, "edge") != 0 && strcmp(deliver, "cloud") != 0)
    return braid_fail(BRAID_EFORMAT, "\"deliver\" is '%s', it must be 'edge' or 'cloud'", deliver);
  plan->deliver = strcmp(deliver, "edge") == 0 ? BRAID_EDGE : BRAID_CLOUD;
  return BRAID_OK;
}

static enum braid_status read_forecast(const json_t *root, struct braid_forecast *f) {
  const int64_t max = 1000 * COST_FRAME_NS_MAX;
  const struct {
    const char *key;
    int64_t *ns;
  } times[] = {{"latency_ms", &f->latency_ns}, {"period_ms", &f->period_ns}, {"edge_ms", &f->edge_ns},
               {"up_ms", &f->up_ns},           {"cloud_ms", &f->cloud_ns},   {"down_ms", &f->down_ns},
               {"bound_ms", &f->bound_ns}};
  for (size_t i = 0; i < sizeof times / sizeof *times; i++)
    BRAID_TRY(json_get_ns(root, times[i].key, 1e6, max, times[i].ns));
  BRAID_TRY(json_get_size(root, "bytes_up", &f->up_bytes));
  BRAID_TRY(json_get_size(root, "bytes_down", &f->down_bytes));
  return json_get_real(root, "gap", -1, 1e18, &f->gap);
}

/* What a plan and a part of a mix have in common. */
static enum braid_status read_body(const json_t *root, const struct braid_graph *graph, struct braid_plan *plan) {
  BRAID_TRY(json_get_bool(root, "serial", &plan->serial));
  BRAID_TRY(read_edge_nodes(root, graph, plan));
  BRAID_TRY(read_slices(root, graph, plan));
  BRAID_TRY(read_per_node(root, "rank", 0, plan->n_nodes - 1, plan->n_nodes, plan->rank));
  return read_forecast(root, &plan->forecast);
}

static enum braid_status read_part(const json_t *root, const struct braid_graph *graph, struct braid_plan *plan) {
  double *weight = &plan->mix_weight[plan->n_mix];
  if (!json_is_object(root)) return braid_fail(BRAID_EFORMAT, "it is no object");
  *weight = -1;
  BRAID_TRY(json_get_real(root, "weight", 0, 1, weight));
  if (!(*weight > 0)) return braid_fail(BRAID_EFORMAT, "\"weight\" is missing or 0");
  struct braid_plan *part = NULL;
  BRAID_TRY(braid_plan_create(graph, plan->policy, &part));
  plan->mix[plan->n_mix++] = part;
  part->objective = plan->objective;
  part->deliver = plan->deliver;
  BRAID_TRY(json_get_int(root, "window", 1, BRAID_PLAN_WINDOW_MAX, &part->window));
  return read_body(root, graph, part);
}

/* Weights are made to sum to 1 exactly where digits were lost; braid_plan_check refuses all else. */
static void mend_weights(struct braid_plan *plan) {
  double sum = 0;
  for (int i = 0; i < plan->n_mix; i++) sum += plan->mix_weight[i];
  if (sum > 1 + 1e-6 || sum < 1 - 1e-6 || (sum > 1 - 1e-12 && sum < 1 + 1e-12)) return;
  for (int i = 0; i < plan->n_mix; i++) plan->mix_weight[i] /= sum;
}

/* A mix of one is the plan itself. */
static enum braid_status read_mix(const json_t *root, const struct braid_graph *graph, struct braid_plan *plan) {
  const json_t *mix = json_object_get(root, "mix");
  size_t n = json_array_size(mix);
  if (n <= 1) return BRAID_OK;
  if (n > BRAID_PLAN_MIX_MAX)
    return braid_fail(BRAID_EFORMAT, "a mix of %zu plans; at most %d are allowed", n, BRAID_PLAN_MIX_MAX);
  plan->mix = braid_calloc(n, sizeof *plan->mix);
  plan->mix_weight = braid_calloc(n, sizeof *plan->mix_weight);
  if (!plan->mix || !plan->mix_weight) return braid_fail(BRAID_ENOMEM, "a mix of %zu plans", n);
  for (size_t i = 0; i < n; i++) {
    enum braid_status status = read_part(json_array_get(mix, i), graph, plan);
    if (status != BRAID_OK) return braid_fail_in(status, "part %zu of the mix", i);
  }
  mend_weights(plan);
  return BRAID_OK;
}

static enum braid_status read_plan(const json_t *root, const struct braid_graph *graph, struct braid_plan *plan) {
  BRAID_TRY(read_texts(root, plan));
  BRAID_TRY(json_get_int(root, "window", 1, BRAID_PLAN_WINDOW_MAX, &plan->window));
  BRAID_TRY(read_body(root, graph, plan));
  BRAID_TRY(read_mix(root, graph, plan));
  return braid_plan_check(plan, graph, false);
}

enum braid_status braid_plan_from_json(const char *text, size_t size, const struct braid_graph *graph,
                                       struct braid_plan **out) {
  json_t *root = NULL;
  struct braid_plan *plan = NULL;
  BRAID_TRY(json_parse(text, size, braid_graph_size(graph), "plan", &root));
  enum braid_status status = braid_plan_create(graph, "file", &plan);
  if (status == BRAID_OK) status = read_plan(root, graph, plan);
  json_decref(root);
  if (status != BRAID_OK) {
    braid_plan_destroy(&plan);
    return status == BRAID_ENOMEM ? status : braid_fail_in(status, "plan");
  }
  *out = plan;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ writing */

static bool put_ms(json_t *root, const char *key, int64_t ns) {
  return json_put(root, key, json_real((double)ns / 1e6));
}

/* The array is made, filled by the caller's loop and put in one place: NULL anywhere means out of memory. */
static bool put_array(json_t *root, const char *key, json_t *array, bool filled) {
  if (array && filled) return json_put(root, key, array);
  json_decref(array);
  return false;
}

static bool put_edge_nodes(json_t *root, const struct braid_plan *plan) {
  json_t *ids = json_array();
  bool ok = ids != NULL;
  for (int v = 0; v < plan->n_nodes && ok; v++)
    if (plan->site[v] == BRAID_EDGE) ok = json_push(ids, json_integer(v));
  return put_array(root, "edge_nodes", ids, ok);
}

static bool put_ints(json_t *root, const char *key, const int *values, int n) {
  json_t *array = json_array();
  bool ok = array != NULL;
  for (int v = 0; v < n && ok; v++) ok = json_push(array, json_integer(values[v]));
  return put_array(root, key, array, ok);
}

/* Names as --codec takes them: today every tensor travels as it is. */
static const char *codec_name(enum braid_dtype dtype) {
  return dtype == BRAID_F32 ? "fp32" : dtype == BRAID_F16 ? "fp16" : braid_dtype_name(dtype);
}

static bool put_crossing(json_t *root, const char *key, const struct braid_plan *plan, const struct braid_graph *graph,
                         const struct braid_costs *costs, bool up) {
  json_t *array = json_array();
  bool ok = array != NULL;
  for (int v = 0; v < plan->n_nodes && ok; v++) {
    if (!(up ? braid_plan_crosses_up(plan, graph, v) : braid_plan_crosses_down(plan, graph, v))) continue;
    const struct braid_node *node = braid_graph_node(graph, v);
    size_t bytes = costs && costs->wire_bytes ? costs->wire_bytes[v] : node->bytes;
    ok = json_push(array,
                   json_pack("{s:i,s:I,s:s}", "id", v, "bytes", (json_int_t)bytes, "codec", codec_name(node->dtype)));
  }
  return put_array(root, key, array, ok);
}

static bool put_order(json_t *root, const struct braid_plan *plan) {
  bool sliced = false, ranked = false;
  for (int v = 0; v < plan->n_nodes; v++) {
    sliced |= plan->slices[v] != 1;
    ranked |= plan->rank[v] != v;
  }
  return (!sliced || put_ints(root, "slices", plan->slices, plan->n_nodes)) &&
         (!ranked || put_ints(root, "rank", plan->rank, plan->n_nodes));
}

static bool put_forecast(json_t *root, const struct braid_forecast *f) {
  return put_ms(root, "latency_ms", f->latency_ns) && put_ms(root, "period_ms", f->period_ns) &&
         put_ms(root, "edge_ms", f->edge_ns) && put_ms(root, "up_ms", f->up_ns) &&
         put_ms(root, "cloud_ms", f->cloud_ns) && put_ms(root, "down_ms", f->down_ns) &&
         json_put(root, "bytes_up", json_integer((json_int_t)f->up_bytes)) &&
         json_put(root, "bytes_down", json_integer((json_int_t)f->down_bytes)) &&
         put_ms(root, "bound_ms", f->bound_ns) && json_put(root, "gap", json_real(f->gap));
}

/* A single plan is a mix of one, and says no more there than that. Forecasts of parts are of the part alone. */
static bool put_part(json_t *mix, const struct braid_plan *part, double weight, const struct braid_graph *graph,
                     const struct braid_costs *costs, bool whole) {
  json_t *object = json_object();
  if (!object || !json_push(mix, object)) return false; /* takes it, whatever comes of it */
  if (!json_put(object, "weight", json_real(weight)) || !put_edge_nodes(object, part)) return false;
  if (!whole) return true;
  return json_put(object, "serial", json_boolean(part->serial)) &&
         json_put(object, "window", json_integer(part->window)) &&
         put_crossing(object, "crossing", part, graph, costs, true) &&
         put_crossing(object, "returning", part, graph, costs, false) && put_order(object, part) &&
         put_forecast(object, &part->forecast);
}

static bool put_mix(json_t *root, const struct braid_plan *plan, const struct braid_graph *graph,
                    const struct braid_costs *costs) {
  json_t *mix = json_array();
  bool ok = mix != NULL;
  if (plan->n_mix == 0) ok = ok && put_part(mix, plan, 1, graph, costs, false);
  for (int i = 0; i < plan->n_mix && ok; i++) ok = put_part(mix, plan->mix[i], plan->mix_weight[i], graph, costs, true);
  return put_array(root, "mix", mix, ok);
}

static bool put_plan(json_t *root, const struct braid_plan *plan, const struct braid_graph *graph,
                     const struct braid_costs *costs, int64_t decide_ns) {
  const char *objective = plan->objective == BRAID_THROUGHPUT ? "throughput" : "latency";
  return json_put(root, "policy", json_string(plan->policy)) && json_put(root, "objective", json_string(objective)) &&
         json_put(root, "deliver", json_string(plan->deliver == BRAID_CLOUD ? "cloud" : "edge")) &&
         json_put(root, "serial", json_boolean(plan->serial)) && json_put(root, "window", json_integer(plan->window)) &&
         put_edge_nodes(root, plan) && put_crossing(root, "crossing", plan, graph, costs, true) &&
         put_crossing(root, "returning", plan, graph, costs, false) && put_order(root, plan) &&
         put_forecast(root, &plan->forecast) &&
         (decide_ns < 0 || json_put(root, "decide_us", json_real((double)decide_ns / 1e3))) &&
         put_mix(root, plan, graph, costs);
}

enum braid_status braid_plan_to_json(const struct braid_plan *plan, const struct braid_graph *graph,
                                     const struct braid_costs *costs, int64_t decide_ns, char **text) {
  json_t *root = json_object();
  if (root && put_plan(root, plan, graph, costs, decide_ns)) return json_print(root, "plan", text);
  json_decref(root);
  return braid_fail(BRAID_ENOMEM, "plan: writing JSON (or a policy name that is not UTF-8)");
}
