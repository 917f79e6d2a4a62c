/* SPDX-License-Identifier: Apache-2.0
 * The models a cloud serves: zoo names and DIR/NAME.onnx, opened and profiled once, each also as NAME@bf16; and
 * profiles of others, that edges brought. */
#ifndef BRAID_CLI_SERVED_H
#define BRAID_CLI_SERVED_H

#include "cli.h"

#include <pthread.h>

struct served_model;

/* Models are resolved by one thread at a time (first the main thread, then the cloud's I/O thread), profiles by one (the
 * cloud's desk). */
struct served {
  pthread_mutex_t mutex; /* of the list; what is in it stays until the end */
  const char *models_dir, *profiles_dir; /* may be NULL */
  uint32_t cpu_flags;
  const struct braid_choices *choices;
  const struct braid_pin *pin;
  int threads;
  double slow;
  struct served_model *model;
};
/* Both are struct braid_cloud_opts callbacks; ctx: struct served *. Names are taken from peers: no path gets through.
 */
enum braid_status served_resolve(void *ctx, const char *name, const struct braid_graph **out);
enum braid_status served_profile(void *ctx, const struct braid_graph *graph, struct braid_profile **out);
void served_free(struct served *served);

/* Reads `path`; where there is no such file, measures and writes it. NULL path: measures. */
BRAID_NODISCARD enum braid_status served_profile_at(const char *path, const struct braid_graph *graph,
                                                    const struct braid_profile_opts *opts, int threads,
                                                    struct braid_profile **out);

#endif
