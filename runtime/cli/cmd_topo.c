/* SPDX-License-Identifier: Apache-2.0
 * braid topo: where a pinning config would put every thread. */
#include "commands.h"

#include <stddef.h>

struct topo_options {
  bool json;
  int threads;
  const char *topology, *pin;
};
#define FIELD(member) offsetof(struct topo_options, member)
static const struct cli_option options[] = {
    {"topology", 0, CLI_TEXT, FIELD(topology), "WHAT", NULL,
     "an hwloc XML file or \"synthetic:...\" instead of this machine"},
    {"pin", 0, CLI_TEXT, FIELD(pin), "CONFIG", NULL, "pinning config (YAML)"},
    {"threads", 0, CLI_INT, FIELD(threads), "N", "0", "worker threads; 0: one for every core"},
    CLI_JSON_OPTION(struct topo_options, json),
};

static json_t *threads_json(const struct braid_pin_thread *thread, int n) {
  json_t *list = json_array();
  for (int i = 0; i < n; i++)
    json_array_append_new(list, json_pack("{s:s, s:s?, s:i, s:s?}", "name", thread[i].name, "cpuset", thread[i].cpuset,
                                          "numa", thread[i].numa, "kind", thread[i].kind));
  return list;
}

static json_t *kinds_json(const struct braid_pin *pin) {
  json_t *list = json_array();
  for (int i = 0; i < pin->n_kinds; i++)
    json_array_append_new(list, json_pack("{s:s, s:s}", "kind", pin->kind[i].name, "cpuset", pin->kind[i].cpuset));
  return list;
}

static json_t *warnings_json(const struct braid_pin *pin) {
  json_t *list = json_array();
  for (int i = 0; i < pin->n_warnings; i++) json_array_append_new(list, json_string(pin->warning[i]));
  return list;
}

static void print_threads(struct cli_table *t, const struct braid_pin_thread *thread, int n) {
  for (int i = 0; i < n; i++) {
    cli_table_cell(t, "%s", thread[i].name);
    cli_table_cell(t, "%s", thread[i].cpuset ? thread[i].cpuset : "any");
    if (thread[i].numa >= 0)
      cli_table_cell(t, "%d", thread[i].numa);
    else
      cli_table_cell(t, "any");
    cli_table_cell(t, "%s", thread[i].kind ? thread[i].kind : "-");
  }
}

static int print(const struct braid_pin *pin, bool json) {
  static const char *const heading[] = {"thread", "cpus", "memory node", "kind"};
  if (json)
    return cli_print_json(json_pack("{s:o, s:o, s:o, s:o, s:b}", "workers", threads_json(pin->worker, pin->n_workers),
                                    "io", threads_json(pin->io, pin->n_io), "kinds", kinds_json(pin), "warnings",
                                    warnings_json(pin), "applies", pin->applies));
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  print_threads(t, pin->worker, pin->n_workers);
  print_threads(t, pin->io, pin->n_io);
  cli_table_print(t, stdout);
  for (int i = 0; i < pin->n_kinds; i++) printf("%s cpus: %s\n", pin->kind[i].name, pin->kind[i].cpuset);
  if (!pin->applies) puts("(another machine's topology: shown, not bound)");
  return CLI_DONE;
}

static int run(const void *values, char **args, int n_args) {
  const struct topo_options *o = values;
  struct braid_topology *topology;
  struct braid_pin *pin;
  (void)args;
  (void)n_args;
  if (braid_topology_open(o->topology, &topology) != BRAID_OK) return cli_fail(CLI_BAD_INPUT);
  int exit = CLI_DONE;
  if (braid_pin_plan(topology, o->pin, o->threads, &pin) != BRAID_OK) exit = cli_fail(CLI_BAD_INPUT);
  if (exit == CLI_DONE) {
    exit = print(pin, o->json);
    braid_pin_destroy(&pin);
  }
  braid_topology_close(&topology);
  return exit;
}

const struct cli_command cmd_topo = {"topo",
                                     "",
                                     "shows this machine's workers and where a pinning config puts them",
                                     NULL,
                                     0,
                                     0,
                                     options,
                                     CLI_COUNT_OF(options),
                                     run};
