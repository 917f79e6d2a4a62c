/* SPDX-License-Identifier: Apache-2.0
 * From a topology and a config to one place for every thread. What a config asks for and the machine has not becomes a
 * warning: the same file should do on the next machine, too. */
#include "config.h"
#include "topology.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A growing row of threads. */
struct row {
  const char *role; /* "worker" or "io" */
  int *n;
  struct braid_pin_thread **thread;
};

/* A pinning that is being made. */
struct draft {
  const struct braid_topology *topology;
  const char *path; /* of the config */
  struct braid_pin *pin;
  struct row worker, io;
};

static enum braid_status list_of(hwloc_const_bitmap_t cpuset, char **out) {
  char *list = NULL; /* hwloc's memory, so that ours is ours to count */
  if (hwloc_bitmap_list_asprintf(&list, cpuset) >= 0) *out = braid_strdup(list);
  free(list);
  return *out ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for a set of processors");
}

/* cpuset NULL: bound nowhere. */
static enum braid_status add_thread(struct draft *draft, struct row *row, hwloc_const_bitmap_t cpuset, int numa) {
  int n = *row->n;
  if (n == PIN_MAX_UNITS) return braid_fail(BRAID_EINVAL, "more than %d threads", PIN_MAX_UNITS);
  struct braid_pin_thread *grown = braid_realloc(*row->thread, (size_t)(n + 1) * sizeof *grown);
  if (!grown) return braid_fail(BRAID_ENOMEM, "no memory for %d threads", n + 1);
  *row->thread = grown;
  struct braid_pin_thread *thread = &grown[n];
  *thread = (struct braid_pin_thread){.numa = numa};
  snprintf(thread->name, sizeof thread->name, "%s%d", row->role, n);
  *row->n = n + 1;
  if (!cpuset) return BRAID_OK;
  BRAID_TRY(kinds_name_of(draft->topology, cpuset, &thread->kind));
  return list_of(cpuset, &thread->cpuset);
}

static enum braid_status warn(struct braid_pin *pin, const char *format, ...) BRAID_PRINTF(2, 3);
static enum braid_status warn(struct braid_pin *pin, const char *format, ...) {
  char text[2048];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  char **grown = braid_realloc(pin->warning, (size_t)(pin->n_warnings + 1) * sizeof *grown);
  if (grown) pin->warning = grown;
  char *copy = grown ? braid_strdup(text) : NULL;
  if (!copy) return braid_fail(BRAID_ENOMEM, "no memory for a warning");
  pin->warning[pin->n_warnings++] = copy;
  return BRAID_OK;
}

static enum braid_status tell_kinds(const struct braid_topology *topology, struct braid_pin *pin) {
  int n = kinds_count(topology);
  if (n == 0) return BRAID_OK;
  hwloc_bitmap_t cpuset = hwloc_bitmap_alloc();
  pin->kind = braid_calloc((size_t)n, sizeof *pin->kind);
  enum braid_status status = cpuset && pin->kind ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for %d kinds", n);
  for (; status == BRAID_OK && pin->n_kinds < n; pin->n_kinds++) {
    struct braid_pin_kind *kind = &pin->kind[pin->n_kinds];
    kind->name = kinds_name(pin->n_kinds == 0 ? PIN_KIND_PERFORMANCE : PIN_KIND_EFFICIENCY);
    status = kinds_cpuset(topology, pin->n_kinds, cpuset);
    if (status == BRAID_OK) status = list_of(cpuset, &kind->cpuset);
  }
  hwloc_bitmap_free(cpuset);
  return status;
}

/* What is told of the topology that the threads were placed on, while it is open. */
static enum braid_status finish(struct draft *draft) {
  draft->pin->applies = !draft->topology->foreign;
  return tell_kinds(draft->topology, draft->pin);
}

/* ------------------------------------------------------------------------------------------- from a config */

static enum braid_status warn_of_places(struct draft *draft, const char *lane, const struct pin_group *group,
                                        const struct places *places) {
  if (places->missing[0] == '\0') return BRAID_OK;
  char instead[80] = "its threads run on any processor that the process may use";
  if (places->n > 0)
    snprintf(instead, sizeof instead, "its threads get the %d place%s found", places->n, places->n == 1 ? "" : "s");
  return warn(draft->pin, "%s: %s: bind '%s': %s; instead %s", draft->path, lane, group->bind, places->missing,
              instead);
}

static enum braid_status choose_kind(struct draft *draft, const char *lane, const struct pin_group *group,
                                     struct places *places) {
  bool found;
  BRAID_TRY(kinds_choose(draft->topology, group->kind, places, &found));
  if (found) return BRAID_OK;
  return warn(draft->pin, "%s: %s: kind '%s': %s; instead its threads get processors of any kind", draft->path, lane,
              kinds_name(group->kind),
              kinds_count(draft->topology) == 0 ? "this machine's processors are all of one kind"
                                                : "its places have no processor of that kind");
}

/* Threads take the places in turn; more threads than places share them. */
static enum braid_status fill(struct draft *draft, const struct pin_group *group, int default_count,
                              const struct places *places, struct row *row) {
  int count = group->count ? group->count : default_count ? default_count : places->n ? places->n : 1;
  for (int i = 0; i < count; i++) {
    hwloc_const_bitmap_t cpuset = places->n ? places->cpuset[i % places->n] : NULL;
    int numa = cpuset && group->memory == PIN_MEMORY_BIND ? topology_numa_of(draft->topology, cpuset) : -1;
    BRAID_TRY(add_thread(draft, row, cpuset, numa));
  }
  return BRAID_OK;
}

static enum braid_status place_group(struct draft *draft, const char *lane, const struct pin_group *group,
                                     int default_count, struct row *row) {
  struct places places = {0};
  enum braid_status status = places_find(draft->topology, group->bind, &places);
  if (status == BRAID_OK) status = warn_of_places(draft, lane, group, &places);
  if (status == BRAID_OK && places.n > 0) status = choose_kind(draft, lane, group, &places);
  if (status == BRAID_OK) status = fill(draft, group, default_count, &places, row);
  places_free(&places);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s: bind '%s'", lane, group->bind);
}

static enum braid_status place_groups(struct draft *draft, const struct pin_config *config) {
  for (unsigned i = 0; i < config->n_workers; i++) {
    char lane[32];
    snprintf(lane, sizeof lane, "workers %u", i + 1);
    BRAID_TRY(place_group(draft, lane, &config->workers[i], 0, &draft->worker));
  }
  if (!config->io) return add_thread(draft, &draft->io, NULL, -1);
  return place_group(draft, "io", config->io, 1, &draft->io);
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
static enum braid_status open_topology(struct draft *draft, const struct pin_config *config,
                                       struct braid_topology **named) {
  if (!config->topology || draft->topology->foreign) return BRAID_OK;
  BRAID_TRY(open_named(draft->path, config->topology, named));
  draft->topology = *named;
  if (!(*named)->foreign) return BRAID_OK;
  return warn(draft->pin,
              "%s: topology '%s' is not this machine; instead of being bound, its threads run on any processor",
              draft->path, config->topology);
}

static enum braid_status plan_config(struct draft *draft, int workers) {
  struct pin_config *config = NULL;
  struct braid_topology *named = NULL;
  BRAID_TRY(pin_config_read(draft->path, &config));
  enum braid_status status = open_topology(draft, config, &named);
  if (status == BRAID_OK) status = place_groups(draft, config);
  if (status == BRAID_OK) status = check_count(workers, draft->pin->n_workers);
  if (status == BRAID_OK) status = finish(draft);
  pin_config_free(&config);
  braid_topology_close(&named);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", draft->path);
}

/* ---------------------------------------------------------------------------------------------- by default */

static enum braid_status place_on_cores(struct draft *draft, int workers, const struct places *cores) {
  bool many_nodes = hwloc_get_nbobjs_by_type(draft->topology->hw, HWLOC_OBJ_NUMANODE) > 1;
  int count = workers ? workers : cores->n;
  for (int i = 0; i < count; i++) {
    hwloc_const_bitmap_t core = count <= cores->n ? cores->cpuset[i] : NULL;
    int numa = core && many_nodes ? topology_numa_of(draft->topology, core) : -1;
    BRAID_TRY(add_thread(draft, &draft->worker, core, numa));
  }
  return add_thread(draft, &draft->io, count < cores->n ? cores->cpuset[count] : NULL, -1);
}

static enum braid_status plan_default(struct draft *draft, int workers) {
  struct places cores;
  BRAID_TRY(places_of_cores(draft->topology, &cores));
  enum braid_status status = kinds_sort(draft->topology, &cores);
  if (status == BRAID_OK) status = place_on_cores(draft, workers, &cores);
  places_free(&cores);
  return status == BRAID_OK ? finish(draft) : status;
}

/* ------------------------------------------------------------------------------------------------- public */

enum braid_status braid_pin_plan(const struct braid_topology *topology, const char *config, int workers,
                                 struct braid_pin **out) {
  if (workers < 0 || workers > PIN_MAX_UNITS)
    return braid_fail(BRAID_EINVAL, "%d workers are not in 0..%d", workers, PIN_MAX_UNITS);
  struct braid_pin *pin = braid_calloc(1, sizeof *pin);
  if (!pin) return braid_fail(BRAID_ENOMEM, "no memory for a pinning");
  struct draft draft = {.topology = topology,
                        .path = config,
                        .pin = pin,
                        .worker = {"worker", &pin->n_workers, &pin->worker},
                        .io = {"io", &pin->n_io, &pin->io}};
  enum braid_status status = config ? plan_config(&draft, workers) : plan_default(&draft, workers);
  if (status != BRAID_OK) {
    braid_pin_destroy(&pin);
    return status;
  }
  for (int i = 0; i < pin->n_warnings; i++) braid_log(BRAID_LOG_WARN, "%s", pin->warning[i]);
  *out = pin;
  return BRAID_OK;
}

static void free_threads(struct braid_pin_thread *threads, int n) {
  for (int i = 0; i < n; i++) braid_free(threads[i].cpuset);
  braid_free(threads);
}

void braid_pin_destroy(struct braid_pin **pin) {
  if (!*pin) return;
  free_threads((*pin)->worker, (*pin)->n_workers);
  free_threads((*pin)->io, (*pin)->n_io);
  for (int i = 0; i < (*pin)->n_kinds; i++) braid_free((*pin)->kind[i].cpuset);
  braid_free((*pin)->kind);
  for (int i = 0; i < (*pin)->n_warnings; i++) braid_free((*pin)->warning[i]);
  braid_free((*pin)->warning);
  braid_free(*pin);
  *pin = NULL;
}
