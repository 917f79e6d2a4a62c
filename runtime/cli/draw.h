/* SPDX-License-Identifier: Apache-2.0
 * Pictures: the graph through graphviz, the timeline by our own SVG writer. */
#ifndef BRAID_CLI_DRAW_H
#define BRAID_CLI_DRAW_H

#include "braid/runtime.h"

/* format: "svg" or "dot". Nodes are coloured by branch or, with a plan, by site; crossing tensors carry their bytes. */
BRAID_NODISCARD enum braid_status draw_graph(const struct braid_graph *graph, const struct braid_plan *plan,
                                             const char *format, const char *path);

/* What the simulator expects of `frames` frames: resources are rows, tasks are boxes coloured by branch. */
BRAID_NODISCARD enum braid_status draw_timeline(const struct braid_graph *graph, const struct braid_plan *plan,
                                                const struct braid_costs *costs, int frames, const char *path);
/* The same as a Chrome trace. */
BRAID_NODISCARD enum braid_status draw_trace(const struct braid_graph *graph, const struct braid_plan *plan,
                                             const struct braid_costs *costs, int frames, const char *path);

/* Rows with boxes on them, time from left to right (ns, from 0). */
struct draw_site;
struct draw_row {
  char name[32];
  const struct draw_site *site;
};
struct draw_box {
  int row, branch;  /* branch: its colour; 0: grey */
  const char *name; /* with the rest, what the box says when it is pointed at */
  int node, frame;
  struct braid_band band;
  int64_t begin_ns, end_ns;
};
struct draw_boxes {
  const char *title;
  int n_rows;
  const struct draw_row *row;
  int n;
  const struct draw_box *box;
};
BRAID_NODISCARD enum braid_status draw_boxes(const struct draw_boxes *boxes, const char *path); /* SVG */

/* "#rrggbb" of a branch number; 0 is neutral. */
const char *draw_colour(int branch);
/* A light and a strong colour of a site, and of the link between them. */
struct draw_site {
  const char *light, *strong;
};
extern const struct draw_site draw_edge, draw_cloud, draw_link;
/* "googlenet by braid: 84.1 ms a frame (predicted)": what every drawing of a plan says first. */
char *draw_title(const struct braid_graph *graph, const struct braid_plan *plan, char *buf, size_t size);

#endif
