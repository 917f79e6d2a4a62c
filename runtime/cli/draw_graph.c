/* SPDX-License-Identifier: Apache-2.0 */
#include "draw.h"

#include <errno.h>
#include <graphviz/gvc.h>
#include <stdio.h>
#include <string.h>

/* Light colours that black text can be read on; neighbours differ. */
const char *draw_colour(int branch) {
  static const char *const colour[] = {"#a6cee3", "#b2df8a", "#fdbf6f", "#cab2d6", "#fb9a99",
                                       "#ffed6f", "#80cdc1", "#f1b6da", "#d9d9a0", "#9ecae1"};
  return branch > 0 ? colour[(branch - 1) % 10] : "#cccccc";
}

const struct draw_site draw_edge = {"#fde3d3", "#b03a1e"}, draw_cloud = {"#dbe8fb", "#1f4ea8"},
                       draw_link = {"#eadcf5", "#6a0dad"};

char *draw_title(const struct braid_graph *graph, const struct braid_plan *plan, char *buf, size_t size) {
  const struct braid_forecast *f = &plan->forecast;
  char mix[48] = "";
  if (plan->n_mix > 0) snprintf(mix, sizeof mix, ", a mix of %d plans", plan->n_mix);
  if (plan->objective == BRAID_THROUGHPUT && f->period_ns > 0)
    snprintf(buf, size, "%s by %s%s: %.1f frames/s, one every %.1f ms (predicted)", braid_graph_name(graph),
             plan->policy, mix, 1e9 / (double)f->period_ns, (double)f->period_ns / 1e6);
  else
    snprintf(buf, size, "%s by %s: %.1f ms a frame (predicted)", braid_graph_name(graph), plan->policy,
             (double)f->latency_ns / 1e6);
  return buf;
}

/* Graphviz takes char * where it means const char *. */
static void set(void *object, const char *name, const char *value) {
  char key[32], text[256];
  snprintf(key, sizeof key, "%s", name);
  snprintf(text, sizeof text, "%s", value);
  char empty[1] = "";
  agsafeset(object, key, text, empty);
}

static const char *size_text(size_t bytes, char buf[32]) {
  if (bytes >= 10 * 1024 * 1024)
    snprintf(buf, 32, "%.0f MiB", (double)bytes / 1048576);
  else if (bytes >= 10 * 1024)
    snprintf(buf, 32, "%.0f KiB", (double)bytes / 1024);
  else
    snprintf(buf, 32, "%zu B", bytes);
  return buf;
}

/* Long names are paths: their ends tell them apart. */
static const char *short_name(const char *name, char buf[48]) {
  size_t n = strlen(name);
  if (n <= 36) return name;
  snprintf(buf, 48, "...%s", name + n - 33);
  return buf;
}

static Agnode_t *add_node(Agraph_t *g, const struct braid_graph *graph, const struct braid_plan *plan, int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  char key[16], label[256], shape[64], name[48];
  snprintf(key, sizeof key, "n%d", id);
  snprintf(label, sizeof label, "%d %s\n%s\n%s", id, braid_op_name(node->op), short_name(node->name, name),
           braid_shape_text(&node->shape, shape, sizeof shape));
  Agnode_t *n = agnode(g, key, 1);
  bool cloud = plan && plan->site[id] == BRAID_CLOUD;
  set(n, "label", label);
  set(n, "shape", cloud ? "ellipse" : "box");
  set(n, "style", "filled");
  set(n, "fontname", "Helvetica");
  set(n, "fontsize", "10");
  const struct draw_site *site = cloud ? &draw_cloud : &draw_edge;
  set(n, "fillcolor", plan ? site->light : draw_colour(braid_graph_branch_of(graph, id)));
  if (plan) set(n, "color", site->strong);
  if (plan) set(n, "penwidth", "2");
  return n;
}

/* A tensor that crosses is drawn thick, with its bytes. */
static void add_edge(Agraph_t *g, Agnode_t *const *drawn, const struct braid_graph *graph,
                     const struct braid_plan *plan, int from, int to) {
  char bytes[32];
  Agedge_t *e = agedge(g, drawn[from], drawn[to], NULL, 1);
  if (!plan || plan->site[from] == plan->site[to]) return;
  set(e, "label", size_text(braid_graph_node(graph, from)->bytes, bytes));
  set(e, "color", draw_link.strong);
  set(e, "fontcolor", draw_link.strong);
  set(e, "penwidth", "3");
  set(e, "fontname", "Helvetica");
  set(e, "fontsize", "10");
}

static int count_branches(const struct braid_graph *graph) {
  int most = 0;
  for (int id = 0; id < braid_graph_size(graph); id++)
    if (braid_graph_branch_of(graph, id) > most) most = braid_graph_branch_of(graph, id);
  return most;
}

static void fill(Agraph_t *g, Agnode_t **drawn, const struct braid_graph *graph, const struct braid_plan *plan) {
  for (int id = 0; id < braid_graph_size(graph); id++) {
    const struct braid_node *node = braid_graph_node(graph, id);
    drawn[id] = add_node(g, graph, plan, id);
    for (int i = 0; i < node->n_in; i++)
      if (braid_is_node(node->in[i])) add_edge(g, drawn, graph, plan, node->in[i], id);
  }
}

/* The title, and below it what colours and shapes mean. */
static void add_title(Agraph_t *g, const struct braid_graph *graph, const struct braid_plan *plan) {
  char title[160], text[256];
  if (plan) {
    snprintf(text, sizeof text, "%s\nred boxes: on the edge; blue ellipses: in the cloud; purple: crosses the link%s",
             draw_title(graph, plan, title, sizeof title), plan->n_mix > 0 ? " (the heaviest part of the mix)" : "");
  } else {
    snprintf(text, sizeof text, "%s: %d nodes, %d branches\none colour a branch, grey: in none",
             braid_graph_name(graph), braid_graph_size(graph), count_branches(graph));
  }
  set(g, "label", text);
  set(g, "labelloc", "t");
  set(g, "fontname", "Helvetica");
  set(g, "fontsize", "16");
  set(g, "ranksep", "0.3");
  set(g, "nodesep", "0.2");
}

/* One context for the life of the program: graphviz's text plugin keeps pointers into the first one (a use after free
 * in graphviz 2.42 when a second context lays out a drawing). */
static GVC_t *drawing_context(void) {
  static GVC_t *context;
  if (!context) context = gvContext();
  return context;
}

static enum braid_status render(Agraph_t *g, const char *format, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  GVC_t *context = drawing_context();
  bool good = gvLayout(context, g, "dot") == 0 && gvRender(context, g, format, out) == 0;
  gvFreeLayout(context, g);
  if (fclose(out) != 0) good = false;
  return good ? BRAID_OK : braid_fail(BRAID_EIO, "%s: graphviz could not write it", path);
}

enum braid_status draw_graph(const struct braid_graph *graph, const struct braid_plan *plan, const char *format,
                             const char *path) {
  Agnode_t **drawn = braid_calloc((size_t)braid_graph_size(graph) + 1, sizeof *drawn);
  if (!drawn) return braid_fail(BRAID_ENOMEM, "%s: no memory for a drawing", path);
  char name[64];
  snprintf(name, sizeof name, "%s", braid_graph_name(graph));
  Agraph_t *g = agopen(name, Agstrictdirected, NULL);
  add_title(g, graph, plan);
  fill(g, drawn, graph, plan);
  enum braid_status status = render(g, format, path);
  agclose(g);
  braid_free(drawn);
  return status;
}
