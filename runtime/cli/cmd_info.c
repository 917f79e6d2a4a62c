/* SPDX-License-Identifier: Apache-2.0
 * braid info: the optimised graph. */
#include "commands.h"
#include "describe.h"
#include "draw.h"
#include "plan_file.h"
#include "precision.h"

#include <stddef.h>

struct info_options {
  bool json;
  int batch;
  const char *svg, *dot, *plan;
  struct cli_precision precision;
};
#define FIELD(member) offsetof(struct info_options, member)
static const struct cli_option options[] = {
    {"batch", 0, CLI_COUNT, FIELD(batch), "N", "1", "images in a frame"},
    {"svg", 0, CLI_TEXT, FIELD(svg), "FILE", NULL, "draw the graph, nodes coloured by branch"},
    {"dot", 0, CLI_TEXT, FIELD(dot), "FILE", NULL, "the same for graphviz"},
    {"plan", 0, CLI_TEXT, FIELD(plan), "FILE", NULL,
     "a plan (JSON): the drawing shows sites (box edge, ellipse cloud) and the bytes that cross"},
    CLI_PRECISION_OPTIONS(struct info_options, precision),
    CLI_PREPROCESS_OPTION(struct info_options, precision),
    CLI_JSON_OPTION(struct info_options, json),
};

/* What a frame needs: the memory plan of a program with every node here, for one worker. */
static enum braid_status plan_memory(const struct braid_graph *graph, struct braid_program_info *info) {
  struct braid_pool *pool;
  struct braid_program *program;
  struct braid_pool_opts pool_opts = {.workers = 1, .name = "info"};
  struct braid_program_opts opts = {.here = BRAID_EDGE, .cpu_flags = braid_cpu_flags(), .only_planned = true};
  BRAID_TRY(braid_pool_create(&pool_opts, &pool));
  enum braid_status status = braid_program_create(pool, graph, NULL, &opts, &program);
  if (status == BRAID_OK) {
    braid_program_info(program, info);
    braid_program_destroy(&program);
  }
  braid_pool_destroy(&pool);
  return status;
}

static int print_json(const struct braid_graph *graph, const struct braid_program_info *info) {
  int64_t params, macs, weight_bytes;
  char hash[65];
  int n;
  const int *joint = braid_graph_joints(graph, &n);
  braid_graph_totals(graph, &params, &macs, &weight_bytes);
  braid_graph_hash_text(graph, hash);
  return cli_print_json(json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:I,"
                                  "s:I}", "name",
                                  braid_graph_name(graph), "hash", hash, "inputs", describe_inputs_json(graph),
                                  "outputs", describe_outputs_json(graph), "nodes", describe_nodes_json(graph),
                                  "joints", cli_ids_json(joint, n), "blocks", describe_blocks_json(graph),
                                  "bottlenecks", describe_bottlenecks_json(graph), "branches", describe_branches(graph),
                                  "params", (json_int_t)params, "macs", (json_int_t)macs, "weight_bytes",
                                  (json_int_t)weight_bytes, "arena_bytes", (json_int_t)info->arena_bytes,
                                  "arena_bound_bytes", (json_int_t)info->arena_bound_bytes, "packed_bytes",
                                  (json_int_t)info->packed_bytes, "scratch_bytes", (json_int_t)info->scratch_bytes));
}

static void print_nodes(const struct braid_graph *graph) {
  static const char *const heading[] = {"id", "op", "shape", "KiB", "MMAC", "branch", "name"};
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  for (int id = 0; id < braid_graph_size(graph); id++) {
    const struct braid_node *node = braid_graph_node(graph, id);
    char shape[64];
    const char *act = node->act.op == BRAID_ACT_NONE ? "" : braid_op_name(node->act.op);
    cli_table_cell(t, "%d", id);
    cli_table_cell(t, "%s%s%s", braid_op_name(node->op), *act ? "+" : "", act);
    cli_table_cell(t, "%s %s", braid_dtype_name(node->dtype), braid_shape_text(&node->shape, shape, sizeof shape));
    cli_table_cell(t, "%.1f", (double)node->bytes / 1024);
    cli_table_cell(t, "%.2f", (double)node->macs / 1e6);
    cli_table_cell(t, "%d", braid_graph_branch_of(graph, id));
    cli_table_cell(t, "%s", node->name);
  }
  cli_table_print(t, stdout);
}

static int print_text(const struct braid_graph *graph, const struct braid_program_info *info) {
  int64_t params, macs, weight_bytes;
  int joints, blocks;
  char hash[65], input[128];
  braid_graph_totals(graph, &params, &macs, &weight_bytes);
  braid_graph_hash_text(graph, hash);
  braid_graph_joints(graph, &joints);
  braid_graph_blocks(graph, &blocks);
  print_nodes(graph);
  printf("\n%s: input %s; %d nodes, %.2f M parameters (%.1f MiB), %.1f MMAC\n", braid_graph_name(graph),
         describe_inputs(graph, input, sizeof input), braid_graph_size(graph), (double)params / 1e6,
         (double)weight_bytes / 1048576, (double)macs / 1e6);
  printf("%d joints, %d blocks with %d branches; hash %.16s\n", joints, blocks, describe_branches(graph), hash);
  printf("one worker: ");
  describe_memory(info, stdout);
  return CLI_DONE;
}

static int draw(const struct braid_graph *graph, const struct info_options *o) {
  struct braid_plan *plan = NULL;
  if (o->plan && plan_file_read(o->plan, graph, &plan) != BRAID_OK) return cli_fail(CLI_BAD_INPUT);
  enum braid_status status = BRAID_OK;
  if (o->svg) status = draw_graph(graph, plan, "svg", o->svg);
  if (o->dot && status == BRAID_OK) status = draw_graph(graph, plan, "dot", o->dot);
  braid_plan_destroy(&plan);
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

static int run(const void *values, char **args, int n_args) {
  const struct info_options *o = values;
  struct braid_graph *graph;
  struct braid_program_info info = {0};
  (void)n_args;
  int exit = precision_open(args[0], o->batch, &o->precision, &graph);
  if (exit != CLI_DONE) return exit;
  exit = draw(graph, o);
  if (exit == CLI_DONE && plan_memory(graph, &info) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  if (exit == CLI_DONE) exit = o->json ? print_json(graph, &info) : print_text(graph, &info);
  braid_graph_destroy(&graph);
  return exit;
}

const struct cli_command cmd_info = {"info",
                                     "MODEL",
                                     "shows a network after import and optimisation: nodes, branches, sizes",
                                     "MODEL is a name that 'braid models' lists or a path ending in .onnx.",
                                     1,
                                     1,
                                     options,
                                     CLI_COUNT_OF(options),
                                     run};
