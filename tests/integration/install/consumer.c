/* SPDX-License-Identifier: Apache-2.0
 * A stranger's program: uses the installed library through its public headers only. */
#include <braid/models.h>
#include <stdio.h>

int main(void) {
  int n;
  const struct braid_zoo_entry *zoo = braid_zoo(&n);
  struct braid_graph *graph;
  if (n < 1 || braid_zoo_build(zoo[0].name, 1, 0, &graph) != BRAID_OK || braid_graph_seal(graph, BRAID_PASS_ALL)) {
    fprintf(stderr, "%s\n", braid_error());
    return 1;
  }
  printf("%s %d nodes\n", braid_graph_name(graph), braid_graph_size(graph));
  braid_graph_destroy(&graph);
  return 0;
}
