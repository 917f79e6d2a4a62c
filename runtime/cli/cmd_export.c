/* SPDX-License-Identifier: Apache-2.0
 * braid export: the model as ONNX, for any other runtime. */
#include "commands.h"
#include "precision.h"

#include <stddef.h>

struct export_options {
  bool json;
  int batch;
  struct cli_precision precision;
};
static const struct cli_option options[] = {
    {"batch", 0, CLI_COUNT, offsetof(struct export_options, batch), "N", "1", "images in a frame"},
    CLI_PRECISION_OPTIONS(struct export_options, precision),
    CLI_PREPROCESS_OPTION(struct export_options, precision),
    CLI_JSON_OPTION(struct export_options, json),
};

static int run(const void *values, char **args, int n_args) {
  const struct export_options *o = values;
  struct braid_graph *graph;
  char hash[65];
  (void)n_args;
  int exit = precision_open(args[0], o->batch, &o->precision, &graph);
  if (exit != CLI_DONE) return exit;
  if (braid_onnx_save(graph, args[1]) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  braid_graph_hash_text(graph, hash);
  if (exit == CLI_DONE && o->json)
    exit = cli_print_json(json_pack("{s:s, s:s, s:s}", "name", braid_graph_name(graph), "hash", hash, "path", args[1]));
  else if (exit == CLI_DONE)
    printf("%s written to %s\n", braid_graph_name(graph), args[1]);
  braid_graph_destroy(&graph);
  return exit;
}

const struct cli_command cmd_export = {"export",
                                       "MODEL OUT.onnx",
                                       "writes a model, weights included, as ONNX (opset 13)",
                                       "In lower precision (--precision) the file says by ONNX's own operators what is "
                                       "calculated on bytes or bfloat16: any runtime can run it, and to Braid it is the "
                                       "same network as 'braid run --precision' makes, so edge and cloud serve it like "
                                       "any other.",
                                       2,
                                       2,
                                       options,
                                       CLI_COUNT_OF(options),
                                       run};
