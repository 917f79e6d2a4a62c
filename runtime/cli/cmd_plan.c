/* SPDX-License-Identifier: Apache-2.0
 * braid plan: one policy's plan. */
#include "commands.h"
#include "draw.h"
#include "io.h"
#include "planning.h"
#include "reasons.h"

#include <stddef.h>
#include <string.h>

struct plan_options {
  struct planning_options p;
  const char *policy, *output, *svg, *trace, *graph_svg;
  bool why, json;
};
#define FIELD(member) offsetof(struct plan_options, member)
static const struct cli_option options[] = {
    {"policy", 0, CLI_TEXT, FIELD(policy), "NAME", "braid", "who decides; 'braid compare' shows all"},
    PLANNING_OPTIONS(struct plan_options, p),
    {"output", 'o', CLI_TEXT, FIELD(output), "FILE", NULL, "write the plan (JSON), for 'braid edge --plan'"},
    {"svg", 0, CLI_TEXT, FIELD(svg), "FILE", NULL, "draw the predicted timeline"},
    {"graph-svg", 0, CLI_TEXT, FIELD(graph_svg), "FILE", NULL, "draw the graph with sites and crossing bytes"},
    {"trace", 0, CLI_TEXT, FIELD(trace), "FILE", NULL, "the predicted timeline as a Chrome trace"},
    {"why", 0, CLI_FLAG, FIELD(why), NULL, NULL,
     "which resource binds, what constraints cost, the next-best cut, what if"},
    CLI_JSON_OPTION(struct plan_options, json),
};

static enum braid_status draw_all(const struct plan_options *o, const struct planning *p,
                                  const struct braid_plan *plan) {
  int frames = p->frames > 0 ? p->frames : p->goal.objective == BRAID_THROUGHPUT ? 4 : 1;
  if (o->svg) BRAID_TRY(draw_timeline(p->graph, plan, &p->costs, frames, o->svg));
  if (o->trace) BRAID_TRY(draw_trace(p->graph, plan, &p->costs, frames, o->trace));
  return o->graph_svg ? draw_graph(p->graph, plan, "svg", o->graph_svg) : BRAID_OK;
}

/* What the frames do that follow each part, alone. */
static void print_mix(const struct braid_plan *plan) {
  static const char *const heading[] = {"part",  "frames/%", "edge nodes", "latency/ms", "edge/ms",
                                        "up/ms", "cloud/ms", "down/ms",    "bytes up"};
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  printf(
      "a mix: each frame follows one of %d plans in turn, %d in flight; no plan or mix has a shorter period than the "
      "bound\n",
      plan->n_mix, plan->window);
  for (int i = 0; i < plan->n_mix; i++) {
    const struct braid_forecast *f = &plan->mix[i]->forecast;
    int here = 0;
    for (int id = 0; id < plan->n_nodes; id++) here += plan->mix[i]->site[id] == BRAID_EDGE;
    cli_table_cell(t, "%d", i + 1);
    cli_table_cell(t, "%.2f", 100 * plan->mix_weight[i]);
    cli_table_cell(t, "%d", here);
    cli_table_cell(t, "%.2f", cli_ms(f->latency_ns));
    cli_table_cell(t, "%.2f", cli_ms(f->edge_ns));
    cli_table_cell(t, "%.2f", cli_ms(f->up_ns));
    cli_table_cell(t, "%.2f", cli_ms(f->cloud_ns));
    cli_table_cell(t, "%.2f", cli_ms(f->down_ns));
    cli_table_cell(t, "%zu", f->up_bytes);
  }
  cli_table_print(t, stdout);
  printf("\nthe heaviest part:\n");
}

static void print_text(const struct planning *p, const struct braid_plan *plan, int64_t decide_ns) {
  static const char *const heading[] = {"id", "crosses", "bytes", "name"};
  const struct braid_forecast *f = &plan->forecast;
  int here = 0;
  for (int id = 0; id < plan->n_nodes; id++) here += plan->site[id] == BRAID_EDGE;
  printf("%s by %s%s: %d of %d nodes on the edge%s\n", braid_graph_name(p->graph), plan->policy,
         plan->serial ? " (one stage after the other)" : "", here, plan->n_nodes,
         plan->deliver == BRAID_CLOUD ? "; the results stay in the cloud" : "");
  printf("latency %.2f ms, period %.2f ms (%.1f frames/s); busy: edge %.2f, up %.2f, cloud %.2f, down %.2f ms\n",
         cli_ms(f->latency_ns), cli_ms(f->period_ns), f->period_ns ? 1e9 / (double)f->period_ns : 0, cli_ms(f->edge_ns),
         cli_ms(f->up_ns), cli_ms(f->cloud_ns), cli_ms(f->down_ns));
  printf("bound %.2f ms, gap %.1f %%; decided in %.0f us\n\n", cli_ms(f->bound_ns), 100 * f->gap,
         (double)decide_ns / 1e3);
  if (plan->n_mix > 0) print_mix(plan);
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  for (int id = 0; id < plan->n_nodes; id++) {
    bool up = braid_plan_crosses_up(plan, p->graph, id), down = braid_plan_crosses_down(plan, p->graph, id);
    if (!up && !down) continue;
    cli_table_cell(t, "%d", id);
    cli_table_cell(t, "%s", up ? "up" : "down");
    cli_table_cell(t, "%zu", p->costs.wire_bytes ? p->costs.wire_bytes[id] : braid_graph_node(p->graph, id)->bytes);
    cli_table_cell(t, "%s", braid_graph_node(p->graph, id)->name);
  }
  cli_table_print(t, stdout);
}

static int explain(const struct planning *p, const struct braid_policy *policy, const struct braid_plan *plan,
                   struct braid_why **out) {
  return braid_why_create(policy, p->graph, &p->costs, &p->goal, plan, out) == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

/* The plan file's own text is what --json prints: one writer for both. */
static int put(const struct plan_options *o, const struct planning *p, const struct braid_plan *plan,
               const struct braid_why *why, int64_t decide_ns) {
  char *text;
  if (braid_plan_to_json(plan, p->graph, &p->costs, decide_ns, &text) != BRAID_OK) return cli_fail(CLI_FAILED);
  enum braid_status status = o->output ? io_write_file(o->output, text, strlen(text)) : BRAID_OK;
  int exit = status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
  json_t *json = exit == CLI_DONE && o->json ? json_loads(text, 0, NULL) : NULL;
  if (json && why) json_object_set_new(json, "why", reasons_json(why));
  if (exit == CLI_DONE && o->json)
    exit = cli_print_json(json);
  else if (exit == CLI_DONE && !(o->output && strcmp(o->output, "-") == 0)) {
    print_text(p, plan, decide_ns);
    if (why) reasons_print(why, p->graph, plan);
  }
  braid_free(text);
  return exit;
}

static int run(const void *values, char **args, int n_args) {
  const struct plan_options *o = values;
  const struct braid_policy *policy;
  struct planning p;
  struct braid_plan *plan;
  int64_t decide_ns;
  (void)n_args;
  int exit = planning_policy(o->policy, &policy);
  if (exit == CLI_DONE) exit = planning_open(&o->p, args[0], &p);
  if (exit != CLI_DONE) return exit;
  if (planning_decide(&p, policy, &plan, &decide_ns) != BRAID_OK) {
    exit = cli_fail(CLI_FAILED);
  } else {
    struct braid_why *why = NULL;
    exit = draw_all(o, &p, plan) == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
    if (exit == CLI_DONE && o->why) exit = explain(&p, policy, plan, &why);
    if (exit == CLI_DONE) exit = put(o, &p, plan, why, decide_ns);
    braid_why_destroy(&why);
    braid_plan_destroy(&plan);
  }
  planning_close(&p);
  return exit;
}

const struct cli_command cmd_plan = {"plan",
                                     "MODEL",
                                     "decides which side runs which node, and predicts what comes of it",
                                     "The costs are two profiles ('braid profile', or any JSON of that form), or rates "
                                     "in GFLOP/s. The input is charged at "
                                     "the bytes that really travel (uint8 pixels); with honest inputs the best plan "
                                     "for a single frame of a chain-like net "
                                     "is often all on the edge or all in the cloud, and this command says so.",
                                     1,
                                     1,
                                     options,
                                     CLI_COUNT_OF(options),
                                     run};
