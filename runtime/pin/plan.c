/* SPDX-License-Identifier: Apache-2.0
 * From a topology and a config to one place for every thread. */
#include "config.h"
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A growing row of threads. */
struct row {
  const char *role; /* "worker" or "io" */
  int n;
  struct braid_pin_thread *thread;
};

static void free_threads(struct braid_pin_thread *threads, int n) {
  for (int i = 0; i < n; i++) braid_free(threads[i].cpuset);
  braid_free(threads);
}

/* cpuset NULL: bound nowhere. */
static enum braid_status add_thread(struct row *row, hwloc_const_bitmap_t cpuset, int numa) {
  if (row->n == PIN_MAX_UNITS) return braid_fail(BRAID_EINVAL, "more than %d threads", PIN_MAX_UNITS);
  struct braid_pin_thread *grown = braid_realloc(row->thread, (size_t)(row->n + 1) * sizeof *grown);
  if (!grown) return braid_fail(BRAID_ENOMEM, "no memory for %d threads", row->n + 1);
  row->thread = grown;
  struct braid_pin_thread *thread = &grown[row->n];
  *thread = (struct braid_pin_thread){.numa = numa};
  snprintf(thread->name, sizeof thread->name, "%s%d", row->role, row->n);
  if (cpuset) {
    char *list = NULL; /* hwloc's memory, so that ours is ours to count */
    if (hwloc_bitmap_list_asprintf(&list, cpuset) >= 0) thread->cpuset = braid_strdup(list);
    free(list);
    if (!thread->cpuset) return braid_fail(BRAID_ENOMEM, "no memory for a set of processors");
  }
  row->n++;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------- from a config */

/* Threads take the places in turn; more threads than places share them. */
static enum braid_status place_group(const struct braid_topology *topology, const struct pin_group *group,
                                     int default_count, struct row *row) {
  struct places places;
  BRAID_TRY(places_find(topology, group->bind, &places));
  int count = group->count ? group->count : default_count ? default_count : places.n;
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < count && status == BRAID_OK; i++) {
    hwloc_const_bitmap_t cpuset = places.cpuset[i % places.n];
    int numa = group->memory == PIN_MEMORY_BIND ? topology_numa_of(topology, cpuset) : -1;
    status = add_thread(row, cpuset, numa);
  }
  places_free(&places);
  return status;
}

static enum braid_status place_groups(const struct braid_topology *topology, const struct pin_config *config,
                                      struct row *workers, struct row *io) {
  for (unsigned i = 0; i < config->n_workers; i++) {
    enum braid_status status = place_group(topology, &config->workers[i], 0, workers);
    if (status != BRAID_OK) return braid_fail_in(status, "workers %u: bind '%s'", i + 1, config->workers[i].bind);
  }
  if (!config->io) return add_thread(io, NULL, -1);
  enum braid_status status = place_group(topology, config->io, 1, io);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "io: bind '%s'", config->io->bind);
}

/* A file named in a config is beside the config. */
static enum braid_status open_named(const char *config_path, const char *what, struct braid_topology **out) {
  const char *slash = strrchr(config_path, '/');
  bool is_file = strcmp(what, "this") != 0 && strncmp(what, "synthetic:", strlen("synthetic:")) != 0;
  if (!is_file || what[0] == '/' || !slash) return braid_topology_open(what, out);
  char path[4096];
  snprintf(path, sizeof path, "%.*s/%s", (int)(slash - config_path), config_path, what);
  return braid_topology_open(path, out);
}

static enum braid_status check_count(int workers, int placed) {
  if (workers == 0 || workers == placed) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "places %d workers where %d are asked for", placed, workers);
}

/* The topology that the caller chose wins, unless it is just this machine and the config names another. */
static enum braid_status plan_config(const struct braid_topology *topology, const char *path, int workers,
                                     struct row *worker, struct row *io, bool *applies) {
  struct pin_config *config = NULL;
  struct braid_topology *named = NULL;
  BRAID_TRY(pin_config_read(path, &config));
  enum braid_status status = BRAID_OK;
  if (config->topology && !topology->foreign) status = open_named(path, config->topology, &named);
  if (named) topology = named;
  if (status == BRAID_OK) status = place_groups(topology, config, worker, io);
  if (status == BRAID_OK) status = check_count(workers, worker->n);
  *applies = !topology->foreign;
  pin_config_free(&config);
  braid_topology_close(&named);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", path);
}

/* ---------------------------------------------------------------------------------------------- by default */

static enum braid_status plan_default(const struct braid_topology *topology, int workers, struct row *worker,
                                      struct row *io) {
  struct places cores;
  BRAID_TRY(places_of_cores(topology, &cores));
  bool many_nodes = hwloc_get_nbobjs_by_type(topology->hw, HWLOC_OBJ_NUMANODE) > 1;
  int count = workers ? workers : cores.n;
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < count && status == BRAID_OK; i++) {
    hwloc_const_bitmap_t core = count <= cores.n ? cores.cpuset[i] : NULL;
    status = add_thread(worker, core, core && many_nodes ? topology_numa_of(topology, core) : -1);
  }
  if (status == BRAID_OK) status = add_thread(io, count < cores.n ? cores.cpuset[count] : NULL, -1);
  places_free(&cores);
  return status;
}

/* ------------------------------------------------------------------------------------------------- public */

enum braid_status braid_pin_plan(const struct braid_topology *topology, const char *config, int workers,
                                 struct braid_pin **out) {
  if (workers < 0 || workers > PIN_MAX_UNITS)
    return braid_fail(BRAID_EINVAL, "%d workers are not in 0..%d", workers, PIN_MAX_UNITS);
  struct row worker = {.role = "worker"}, io = {.role = "io"};
  bool applies = !topology->foreign;
  struct braid_pin *pin = braid_calloc(1, sizeof *pin);
  enum braid_status status = pin ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for a pinning");
  if (status == BRAID_OK)
    status = config ? plan_config(topology, config, workers, &worker, &io, &applies)
                    : plan_default(topology, workers, &worker, &io);
  if (status != BRAID_OK) {
    free_threads(worker.thread, worker.n);
    free_threads(io.thread, io.n);
    braid_free(pin);
    return status;
  }
  *pin = (struct braid_pin){worker.n, io.n, worker.thread, io.thread, applies};
  *out = pin;
  return BRAID_OK;
}

void braid_pin_destroy(struct braid_pin **pin) {
  if (!*pin) return;
  free_threads((*pin)->worker, (*pin)->n_workers);
  free_threads((*pin)->io, (*pin)->n_io);
  braid_free(*pin);
  *pin = NULL;
}
