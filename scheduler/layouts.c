/* SPDX-License-Identifier: Apache-2.0
 * What nodes in so many slices look like: bands, times, the rows each slice asks for, the messages it travels in. */
#include "timeline.h"

#include <limits.h>
#include <string.h>

#define MESSAGES_MAX (1 << 27)

enum braid_status tl_layouts_open(const struct braid_graph *graph, const struct braid_costs *costs,
                                  struct tl_layouts *out) {
  size_t n = (size_t)braid_graph_size(graph);
  *out = (struct tl_layouts){.graph = graph, .costs = costs};
  out->layout = slab_take(&out->memory, n, sizeof *out->layout);
  if (!out->layout) return braid_fail(BRAID_ENOMEM, "simulating %zu nodes", n);
  for (size_t v = 0; v < n; v++) out->layout[v] = NULL;
  return BRAID_OK;
}

void tl_layouts_close(struct tl_layouts *layouts) {
  slab_free(&layouts->memory);
}

/* ------------------------------------------------------------------------------------------------- messages */

static int messages_in(struct braid_band band, int step) {
  return (band.end - band.begin - 1) / step + 1;
}

static void fill_messages(const struct tl_layouts *d, struct tl_layout *l, int v, int i) {
  struct tl_message *m = &l->message[l->first[i]];
  struct braid_band band = l->band[i];
  for (int row = band.begin; row < band.end; m++) {
    int end = band.end - row > l->step ? row + l->step : band.end;
    m->band = (struct braid_band){row, end};
    m->bytes = cost_band_bytes(d->costs, d->graph, v, m->band);
    m->ns[0] = cost_message_ns(&d->costs->up, m->bytes);
    m->ns[1] = cost_message_ns(&d->costs->down, m->bytes);
    row = end;
  }
}

static enum braid_status make_messages(struct tl_layouts *d, struct tl_layout *l, int v) {
  int step = cost_message_rows(d->costs, d->graph, v);
  int64_t messages = 0;
  l->first = slab_take(&d->memory, (size_t)l->slices + 1, sizeof *l->first);
  for (int i = 0; i < l->slices && l->first; i++) {
    l->first[i] = (int)messages;
    messages += messages_in(l->band[i], step);
    if (messages > MESSAGES_MAX)
      return braid_fail(BRAID_EINVAL, "%lld messages a frame are too many", (long long)messages);
  }
  l->message = slab_take(&d->memory, (size_t)messages, sizeof *l->message);
  if (!l->first || !l->message) return braid_fail(BRAID_ENOMEM, "simulating %lld messages", (long long)messages);
  l->first[l->slices] = (int)messages;
  l->step = step;
  for (int i = 0; i < l->slices; i++) fill_messages(d, l, v, i);
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------------- slices */

static int fill_operands(const struct braid_node *node, int *operand) {
  int n = 0;
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k])) operand[n++] = node->in[k];
  return n;
}

static void fill_slices(const struct tl_layouts *d, struct tl_layout *l, int v) {
  struct braid_band *need = l->need;
  for (int i = 0; i < l->slices; i++) {
    l->band[i] = braid_slice_band(l->rows, l->slices, i);
    for (int site = 0; site < 2; site++)
      l->ns[site][i] = l->input ? 0 : cost_task_ns(d->costs, d->graph, (enum braid_site)site, v, l->band[i]);
    for (int k = 0; k < l->node->n_in; k++)
      if (braid_is_node(l->node->in[k])) *need++ = braid_graph_needs(d->graph, v, k, l->band[i]);
  }
}

static enum braid_status make_layout(struct tl_layouts *d, int v, int slices, struct tl_layout **out) {
  const struct braid_node *node = braid_graph_node(d->graph, v);
  size_t n = (size_t)slices, operands = (size_t)node->n_in;
  struct tl_layout *l = slab_take(&d->memory, 1, sizeof *l);
  int *operand = slab_take(&d->memory, operands, sizeof *operand);
  struct braid_band *band = slab_take(&d->memory, n, (operands + 1) * sizeof *band);
  int64_t *ns = slab_take(&d->memory, 2 * n, sizeof *ns);
  if (!l || !operand || !band || !ns)
    return braid_fail(BRAID_ENOMEM, "simulating %d slices of '%s'", slices, node->name);
  *l = (struct tl_layout){.next = d->layout[v], .node = node, .slices = slices, .operand = operand, .band = band};
  l->input = node->op == BRAID_OP_INPUT;
  l->rows = node->rows > 0 ? node->rows : 1;
  l->n_operands = fill_operands(node, operand);
  l->need = band + n;
  l->ns[0] = ns;
  l->ns[1] = ns + n;
  fill_slices(d, l, v);
  *out = l;
  return BRAID_OK;
}

enum braid_status tl_layout_get(struct tl_layouts *d, int v, int slices, bool crosses, const struct tl_layout **out) {
  struct tl_layout *l = d->layout[v];
  while (l && l->slices != slices) l = l->next;
  if (!l) {
    BRAID_TRY(make_layout(d, v, slices, &l));
    d->layout[v] = l;
  }
  if (crosses && l->step == 0) BRAID_TRY(make_messages(d, l, v));
  *out = l;
  return BRAID_OK;
}
