/* SPDX-License-Identifier: Apache-2.0 */
#include "served.h"

#include "plan_file.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

struct served_model {
  struct served_model *next;
  char *name;
  struct braid_graph *graph;
  char *profile; /* JSON; NULL until asked for */
};

/* Letters, digits and "._-", not beginning with a dot: a name, never a path. */
static bool safe_name(const char *name) {
  if (!*name || *name == '.' || strlen(name) > 64) return false;
  for (; *name; name++)
    if (!isalnum((unsigned char)*name) && !strchr("._-", *name)) return false;
  return true;
}

static bool in_zoo(const char *name) {
  int n;
  const struct braid_zoo_entry *zoo = braid_zoo(&n);
  for (int i = 0; i < n; i++)
    if (strcmp(zoo[i].name, name) == 0) return true;
  return false;
}

static enum braid_status open_graph(const struct served *s, const char *name, struct braid_graph **out) {
  struct braid_open_opts opts = {0};
  if (!safe_name(name)) return braid_fail(BRAID_EINVAL, "a model name of letters, digits, '.', '_' and '-' is wanted");
  if (in_zoo(name)) return braid_model_open(name, &opts, out);
  if (!s->models_dir)
    return braid_fail(BRAID_ENOTFOUND, "'%s' is not in the zoo, and this cloud has no --models directory", name);
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.onnx", s->models_dir, name);
  if (access(path, R_OK) != 0)
    return braid_fail(BRAID_ENOTFOUND, "'%s' is neither in the zoo nor in the cloud's --models directory", name);
  return braid_model_open(path, &opts, out);
}

enum braid_status served_resolve(void *ctx, const char *name, const struct braid_graph **out) {
  struct served *s = ctx;
  for (struct served_model *m = s->model; m; m = m->next)
    if (strcmp(m->name, name) == 0) {
      *out = m->graph;
      return BRAID_OK;
    }
  struct braid_graph *graph;
  BRAID_TRY(open_graph(s, name, &graph));
  struct served_model *m = braid_calloc(1, sizeof *m);
  char *copy = braid_strdup(name);
  if (!m || !copy) {
    braid_free(m);
    braid_free(copy);
    braid_graph_destroy(&graph);
    return braid_fail(BRAID_ENOMEM, "no memory to serve '%s'", name);
  }
  *m = (struct served_model){s->model, copy, graph, NULL};
  s->model = m;
  *out = graph;
  return BRAID_OK;
}

enum braid_status served_profile_at(const char *path, const struct braid_graph *graph,
                                    const struct braid_profile_opts *opts, int threads, struct braid_profile **out) {
  if (path && access(path, F_OK) == 0) return profile_file_read(path, graph, out);
  braid_log(BRAID_LOG_INFO, "profiling %s on this machine", braid_graph_name(graph));
  struct braid_profile *profile;
  BRAID_TRY(braid_profile_measure(graph, opts, &profile));
  profile->threads = threads;
  enum braid_status status = path ? profile_file_write(path, profile) : BRAID_OK;
  if (status != BRAID_OK)
    braid_profile_destroy(&profile);
  else
    *out = profile;
  return status;
}

static enum braid_status measure(const struct served *s, struct served_model *m) {
  struct braid_profile_opts opts = {.cpu_flags = s->cpu_flags, .slow = s->slow, .pin = s->pin};
  struct braid_profile *profile;
  char path[4096];
  if (s->profiles_dir) snprintf(path, sizeof path, "%s/%s.json", s->profiles_dir, m->name);
  BRAID_TRY(served_profile_at(s->profiles_dir ? path : NULL, m->graph, &opts, s->threads, &profile));
  enum braid_status status = braid_profile_to_json(profile, &m->profile);
  braid_profile_destroy(&profile);
  return status;
}

enum braid_status served_profile(void *ctx, const struct braid_graph *graph, struct braid_profile **out) {
  struct served *s = ctx;
  struct served_model *m = s->model;
  while (m && m->graph != graph) m = m->next;
  if (!m) return braid_fail(BRAID_ENOTFOUND, "a profile of a model that is not served");
  if (!m->profile) BRAID_TRY(measure(s, m));
  return braid_profile_from_json(m->profile, strlen(m->profile), graph, out);
}

void served_free(struct served *s) {
  while (s->model) {
    struct served_model *m = s->model;
    s->model = m->next;
    braid_graph_destroy(&m->graph);
    braid_free(m->profile);
    braid_free(m->name);
    braid_free(m);
  }
}
