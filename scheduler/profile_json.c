/* SPDX-License-Identifier: Apache-2.0
 * The profile file: {"model","hash","machine","threads","task_us","nodes":[{"id","us","slice_us"}]} (docs/cli.md). By hand,
 * "nodes" with "id" and "us" is enough; nodes without multiply-accumulates may be left out and then cost nothing. */
#include "internal.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static enum braid_status check_hash(const json_t *root, const struct braid_graph *graph,
                                    struct braid_profile *profile) {
  const char *hash = "";
  BRAID_TRY(json_get_text(root, "hash", 64, &hash));
  if (!*hash) return BRAID_OK;
  braid_graph_hash_text(graph, profile->hash);
  if (strcmp(hash, profile->hash) != 0)
    return braid_fail(BRAID_EMISMATCH, "it was measured on another network (hash %.12s..., this one is %.12s...)", hash,
                      profile->hash);
  return BRAID_OK;
}

static enum braid_status read_texts(const json_t *root, struct braid_profile *profile) {
  const char *model = NULL, *machine = NULL;
  BRAID_TRY(json_get_text(root, "model", 4096, &model));
  BRAID_TRY(json_get_text(root, "machine", 4096, &machine));
  char **slot[] = {&profile->model, &profile->machine};
  const char *text[] = {model, machine};
  for (int i = 0; i < 2; i++) {
    if (!text[i]) continue;
    char *copy = braid_strdup(text[i]);
    if (!copy) return braid_fail(BRAID_ENOMEM, "reading a profile");
    braid_free(*slot[i]);
    *slot[i] = copy;
  }
  return BRAID_OK;
}

static enum braid_status read_node(const json_t *entry, size_t index, const struct braid_graph *graph,
                                   struct braid_profile *profile) {
  int id = -1;
  int64_t ns = -1, slice_ns = 0;
  if (!json_is_object(entry)) return braid_fail(BRAID_EFORMAT, "\"nodes\"[%zu] is not an object", index);
  enum braid_status status = json_get_int(entry, "id", 0, profile->n_nodes - 1, &id);
  if (status == BRAID_OK) status = json_get_ns(entry, "us", 1e3, COST_NODE_NS_MAX, &ns);
  if (status == BRAID_OK) status = json_get_ns(entry, "slice_us", 1e3, COST_NODE_NS_MAX, &slice_ns);
  if (status != BRAID_OK) return braid_fail_in(status, "\"nodes\"[%zu]", index);
  if (id < 0 || ns < 0) return braid_fail(BRAID_EFORMAT, "\"nodes\"[%zu] has no \"%s\"", index, id < 0 ? "id" : "us");
  if (profile->node_ns[id] >= 0)
    return braid_fail(BRAID_EFORMAT, "\"nodes\"[%zu]: node %d '%s' comes twice", index, id,
                      braid_graph_node(graph, id)->name);
  profile->node_ns[id] = ns;
  profile->slice_ns[id] = slice_ns;
  return BRAID_OK;
}

static enum braid_status read_nodes(const json_t *root, const struct braid_graph *graph,
                                    struct braid_profile *profile) {
  const json_t *nodes = json_object_get(root, "nodes");
  if (!json_is_array(nodes)) return braid_fail(BRAID_EFORMAT, "\"nodes\" is missing or no array");
  for (int v = 0; v < profile->n_nodes; v++) profile->node_ns[v] = -1;
  for (size_t i = 0; i < json_array_size(nodes); i++) BRAID_TRY(read_node(json_array_get(nodes, i), i, graph, profile));
  for (int v = 0; v < profile->n_nodes; v++) {
    if (profile->node_ns[v] >= 0) continue;
    if (braid_graph_node(graph, v)->macs > 0)
      return braid_fail(BRAID_EFORMAT, "no time for node %d '%s'", v, braid_graph_node(graph, v)->name);
    profile->node_ns[v] = 0;
  }
  return BRAID_OK;
}

static enum braid_status read_profile(const json_t *root, const struct braid_graph *graph,
                                      struct braid_profile *profile) {
  BRAID_TRY(read_texts(root, profile));
  BRAID_TRY(json_get_int(root, "threads", 1, 65536, &profile->threads));
  BRAID_TRY(json_get_ns(root, "task_us", 1e3, COST_NODE_NS_MAX, &profile->task_ns));
  BRAID_TRY(read_nodes(root, graph, profile));
  return check_hash(root, graph, profile);
}

enum braid_status braid_profile_from_json(const char *text, size_t size, const struct braid_graph *graph,
                                          struct braid_profile **out) {
  json_t *root = NULL;
  struct braid_profile *profile = NULL;
  int n = braid_graph_size(graph);
  BRAID_TRY(json_parse(text, size, n, "profile", &root));
  enum braid_status status = profile_alloc(braid_graph_name(graph), "", n, &profile);
  if (status == BRAID_OK) status = read_profile(root, graph, profile);
  json_decref(root);
  if (status != BRAID_OK) {
    braid_profile_destroy(&profile);
    return status == BRAID_ENOMEM ? status : braid_fail_in(status, "profile");
  }
  *out = profile;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ writing */

static bool put_nodes(json_t *root, const struct braid_profile *profile) {
  json_t *nodes = json_array();
  bool ok = nodes != NULL;
  for (int v = 0; v < profile->n_nodes && ok; v++)
    ok = json_push(nodes, json_pack("{s:i,s:f,s:f}", "id", v, "us", (double)profile->node_ns[v] / 1e3, "slice_us",
                                    (double)profile->slice_ns[v] / 1e3));
  if (!ok) {
    json_decref(nodes);
    return false;
  }
  return json_put(root, "nodes", nodes);
}

enum braid_status braid_profile_to_json(const struct braid_profile *profile, char **text) {
  json_t *root = json_object();
  bool ok = root && json_put(root, "model", json_string(profile->model)) &&
            json_put(root, "hash", json_string(profile->hash)) &&
            json_put(root, "machine", json_string(profile->machine)) &&
            json_put(root, "threads", json_integer(profile->threads)) &&
            json_put(root, "task_us", json_real((double)profile->task_ns / 1e3)) && put_nodes(root, profile);
  if (ok) return json_print(root, "profile", text);
  json_decref(root);
  return braid_fail(BRAID_ENOMEM, "profile: writing JSON (or a name that is not UTF-8)");
}
