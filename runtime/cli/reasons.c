/* SPDX-License-Identifier: Apache-2.0 */
#include "reasons.h"

static const char *const resource_name[] = {"edge", "up", "cloud", "down"};

static double change(int64_t value_ns, int64_t from_ns) {
  return from_ns > 0 ? (double)value_ns / (double)from_ns - 1 : 0;
}

/* ---------------------------------------------------------------------------------------------------- text */

static void print_values(const struct braid_why *why, const struct braid_why_value *value, int n, const char *lead) {
  for (int i = 0; i < n; i++)
    if (value[i].value_ns == 0)
      printf("%s%s: no plan\n", lead, value[i].what);
    else
      printf("%s%s: %.2f ms (%+.1f %%)\n", lead, value[i].what, cli_ms(value[i].value_ns),
             100 * change(value[i].value_ns, why->value_ns));
}

enum { NAMED_MAX = 4 };

/* "'a', 'b' and 3 more" of the nodes that are on `side` in the next plan and were not. */
static void print_moved(const struct braid_graph *graph, const struct braid_plan *plan, const struct braid_plan *next,
                        enum braid_site side) {
  int n = 0;
  for (int v = 0; v < plan->n_nodes; v++) {
    if (next->site[v] != side || plan->site[v] == side) continue;
    if (n == 0) printf("  to the %s:", side == BRAID_EDGE ? "edge" : "cloud");
    if (n < NAMED_MAX) printf("%s '%s'", n ? "," : "", braid_graph_node(graph, v)->name);
    n++;
  }
  if (n > NAMED_MAX) printf(" and %d more", n - NAMED_MAX);
  if (n > 0) putchar('\n');
}

void reasons_print(const struct braid_why *why, const struct braid_graph *graph, const struct braid_plan *plan) {
  printf("\nwhy: the %s binds; busy", why->binds == BRAID_RES_UP     ? "uplink"
                                      : why->binds == BRAID_RES_DOWN ? "downlink"
                                                                     : resource_name[why->binds]);
  for (int r = 0; r < 4; r++) printf("%s %s %.0f %%", r ? "," : "", resource_name[r], 100 * why->share[r]);
  printf(" of %.2f ms\n", cli_ms(why->value_ns));
  print_values(why, why->without, why->n_without, "without the limit of ");
  print_values(why, why->what_if, why->n_what_if, "with ");
  if (!why->next) {
    printf("no other cut was found\n");
    return;
  }
  printf("the next-best cut found: %.2f ms (%+.1f %%)", cli_ms(why->next_ns),
         100 * change(why->next_ns, why->value_ns));
  printf(", %zu bytes up\n", why->next->forecast.up_bytes);
  print_moved(graph, plan, why->next, BRAID_EDGE);
  print_moved(graph, plan, why->next, BRAID_CLOUD);
}

/* ---------------------------------------------------------------------------------------------------- JSON */

static json_t *values_json(const struct braid_why *why, const struct braid_why_value *value, int n) {
  json_t *list = json_array();
  for (int i = 0; i < n; i++) {
    json_t *row = json_pack("{s:s}", "what", value[i].what);
    if (value[i].value_ns > 0)
      json_object_update_new(row, json_pack("{s:f, s:f}", "value_ms", cli_ms(value[i].value_ns), "change",
                                            change(value[i].value_ns, why->value_ns)));
    json_array_append_new(list, row);
  }
  return list;
}

static json_t *sites_json(const struct braid_plan *plan) {
  json_t *list = json_array();
  for (int v = 0; v < plan->n_nodes; v++)
    if (plan->site[v] == BRAID_EDGE) json_array_append_new(list, json_integer(v));
  return list;
}

json_t *reasons_json(const struct braid_why *why) {
  json_t *share = json_object(), *next = json_null();
  for (int r = 0; r < 4; r++) json_object_set_new(share, resource_name[r], json_real(why->share[r]));
  if (why->next)
    next = json_pack("{s:f, s:f, s:I, s:o}", "value_ms", cli_ms(why->next_ns), "change",
                     change(why->next_ns, why->value_ns), "bytes_up", (json_int_t)why->next->forecast.up_bytes,
                     "edge_nodes", sites_json(why->next));
  return json_pack("{s:f, s:s, s:o, s:o, s:o, s:o}", "value_ms", cli_ms(why->value_ns), "binds",
                   resource_name[why->binds], "share", share, "without", values_json(why, why->without, why->n_without),
                   "what_if", values_json(why, why->what_if, why->n_what_if), "next", next);
}
