/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <string.h>

/* -------------------------------------------------------------------------------------- blocks, branches */

static int count_branches(const struct braid_block *block, int n) {
  int total = 0;
  for (int b = 0; b < n; b++) {
    total += block[b].n_branches;
    for (int i = 0; i < block[b].n_branches; i++)
      total += count_branches(block[b].branch[i].block, block[b].branch[i].n_blocks);
  }
  return total;
}

int describe_branches(const struct braid_graph *graph) {
  int n;
  const struct braid_block *block = braid_graph_blocks(graph, &n);
  return count_branches(block, n);
}

static json_t *blocks_json(const struct braid_block *block, int n) {
  json_t *list = json_array();
  for (int b = 0; b < n; b++) {
    json_t *branches = json_array(), *nested = json_array();
    for (int i = 0; i < block[b].n_branches; i++) {
      const struct braid_branch *branch = &block[b].branch[i];
      json_t *inner = blocks_json(branch->block, branch->n_blocks);
      json_array_append_new(branches, cli_ids_json(branch->node, branch->n_nodes));
      json_array_extend(nested, inner);
      json_decref(inner);
    }
    json_array_append_new(list, json_pack("{s:i, s:i, s:o, s:o}", "entry", block[b].entry, "exit", block[b].exit,
                                          "branches", branches, "nested", nested));
  }
  return list;
}

json_t *describe_blocks_json(const struct braid_graph *graph) {
  int n;
  const struct braid_block *block = braid_graph_blocks(graph, &n);
  return blocks_json(block, n);
}

/* ------------------------------------------------------------------------------------------------- ends */

const char *describe_inputs(const struct braid_graph *graph, char *buf, size_t size) {
  int n;
  const int *id = braid_graph_inputs(graph, &n);
  size_t at = 0;
  bool same = true;
  const struct braid_node *first = n ? braid_graph_node(graph, id[0]) : NULL;
  char shape[64];
  buf[0] = '\0';
  for (int i = 1; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, id[i]);
    same = same && node->dtype == first->dtype && braid_shape_equal(&node->shape, &first->shape);
  }
  if (same && n > 1) at = (size_t)snprintf(buf, size, "%d x ", n);
  for (int i = 0; i < (same ? n > 0 : n) && at < size; i++) {
    const struct braid_node *node = braid_graph_node(graph, id[i]);
    at += (size_t)snprintf(buf + at, size - at, "%s%s %s", i ? ", " : "", braid_dtype_name(node->dtype),
                           braid_shape_text(&node->shape, shape, sizeof shape));
  }
  return buf;
}

static json_t *ends_json(const struct braid_graph *graph, const int *id, int n) {
  json_t *list = json_array();
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, id[i]);
    json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", node->name, "dtype", braid_dtype_name(node->dtype),
                                          "shape", cli_shape_json(&node->shape)));
  }
  return list;
}

json_t *describe_inputs_json(const struct braid_graph *graph) {
  int n;
  const int *id = braid_graph_inputs(graph, &n);
  return ends_json(graph, id, n);
}

json_t *describe_outputs_json(const struct braid_graph *graph) {
  int n;
  const int *id = braid_graph_outputs(graph, &n);
  return ends_json(graph, id, n);
}

/* ------------------------------------------------------------------------------------------------ nodes */

static json_t *node_json(const struct braid_graph *graph, int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  json_t *inputs = json_array();
  for (int i = 0; i < node->n_in; i++)
    if (braid_is_node(node->in[i])) json_array_append_new(inputs, json_integer(node->in[i]));
  json_t *j = json_pack("{s:i, s:s, s:s, s:o, s:o, s:s, s:I, s:I, s:i, s:i, s:I}", "id", id, "name", node->name, "op",
                        braid_op_name(node->op), "inputs", inputs, "shape", cli_shape_json(&node->shape), "dtype",
                        braid_dtype_name(node->dtype), "bytes", (json_int_t)node->bytes, "macs", (json_int_t)node->macs,
                        "branch", braid_graph_branch_of(graph, id), "slices_max", node->slices_max, "weight_bytes",
                        (json_int_t)node->weight_bytes);
  if (node->act.op != BRAID_ACT_NONE) json_object_set_new(j, "activation", json_string(braid_op_name(node->act.op)));
  return j;
}

json_t *describe_nodes_json(const struct braid_graph *graph) {
  json_t *list = json_array();
  for (int id = 0; id < braid_graph_size(graph); id++) json_array_append_new(list, node_json(graph, id));
  return list;
}

json_t *describe_bottlenecks_json(const struct braid_graph *graph) {
  int n_in, n_joints;
  const int *in = braid_graph_inputs(graph, &n_in), *joint = braid_graph_joints(graph, &n_joints);
  double input = 0;
  for (int i = 0; i < n_in; i++) input += (double)braid_graph_node(graph, in[i])->bytes;
  json_t *list = json_array();
  for (int i = 0; i < n_joints; i++) {
    if (joint[i] < 0) continue; /* the virtual source and sink have no tensor */
    const struct braid_node *node = braid_graph_node(graph, joint[i]);
    double ratio = input > 0 ? (double)node->bytes / input : 1;
    if (node->op != BRAID_OP_INPUT && ratio < 1)
      json_array_append_new(list, json_pack("{s:i, s:f}", "id", joint[i], "ratio", ratio));
  }
  return list;
}

/* ------------------------------------------------------------------------------------------------ memory */

void describe_memory(const struct braid_program_info *info, FILE *out) {
  fprintf(out, "arena %.2f MiB a frame (live at once %.2f MiB), packed weights %.2f MiB, scratch %.2f MiB\n",
          (double)info->arena_bytes / 1048576, (double)info->arena_bound_bytes / 1048576,
          (double)info->packed_bytes / 1048576, (double)info->scratch_bytes / 1048576);
}
