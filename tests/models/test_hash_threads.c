/* SPDX-License-Identifier: Apache-2.0
 * The hash is computed on first use, by whoever comes first: several threads at once get the same. A plain program, for
 * the thread sanitizer. */
#include "braid/models.h"
#include "random_graph.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 20 };

struct caller {
  const struct braid_graph *graph;
  char text[65];
};

static void *call(void *arg) {
  struct caller *caller = arg;
  braid_graph_hash_text(caller->graph, caller->text);
  return NULL;
}

static int round_of(uint64_t seed) {
  struct braid_graph *graph = random_graph(seed, 40, RANDOM_GRAPH_WEIGHTS);
  struct caller caller[THREADS];
  pthread_t thread[THREADS];
  int wrong = braid_graph_seal(graph, BRAID_PASS_ALL) != BRAID_OK;
  for (int i = 0; i < THREADS; i++) {
    caller[i].graph = graph;
    if (pthread_create(&thread[i], NULL, call, &caller[i]) != 0) return 1;
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(thread[i], NULL);
    wrong += strcmp(caller[i].text, caller[0].text) != 0 || strlen(caller[i].text) != 64;
  }
  braid_graph_destroy(&graph);
  return wrong;
}

int main(void) {
  int wrong = 0;
  for (uint64_t seed = 0; seed < ROUNDS; seed++) wrong += round_of(seed);
  if (wrong) fprintf(stderr, "%d hashes differ\n", wrong);
  return wrong != 0;
}
