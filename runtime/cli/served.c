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

/* Letters, digits and "._-@", not beginning with a dot: a name, never a path. */
static bool safe_name(const char *name) {
  if (!*name || *name == '.' || strlen(name) > 64) return false;
  for (; *name; name++)
    if (!isalnum((unsigned char)*name) && !strchr("._-@", *name)) return false;
  return true;
}

/* NET@bf16 is made of NET, which is served likewise and lends its constants. It takes no data, so it is the same
 * everywhere; what was calibrated comes as a file. NET is a plain name: nothing is made twice over. */
static enum braid_status lower_graph(struct served *s, const char *name, struct braid_graph **out) {
  char base[128];
  const char *at = strrchr(name, '@');
  enum braid_precision precision;
  const struct braid_graph *full;
  snprintf(base, sizeof base, "%.*s", (int)(at - name), name);
  if (strchr(base, '@') || !braid_precision_find(at + 1, &precision) || precision == BRAID_PRECISION_FP32)
    return braid_fail(BRAID_ENOTFOUND, "'%s' names no precision of a model: NET@bf16 or NET@int8", name);
  if (precision == BRAID_PRECISION_INT8)
    return braid_fail(BRAID_ENOTFOUND,
                      "'%s' is not in the cloud's --models directory, and int8 was calibrated elsewhere", name);
  BRAID_TRY(served_resolve(s, base, &full));
  return braid_graph_lower(full, precision, NULL, out);
}

static enum braid_status open_graph(struct served *s, const char *name, struct braid_graph **out) {
  struct braid_open_opts opts = {0};
  if (!safe_name(name))
    return braid_fail(BRAID_EINVAL, "a model name of letters, digits, '.', '_', '-' and '@' is wanted");
  if (cli_in_zoo(name)) return braid_model_open(name, &opts, out);
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.onnx", s->models_dir ? s->models_dir : "", name);
  if (s->models_dir && access(path, R_OK) == 0) return braid_model_open(path, &opts, out);
  if (strchr(name, '@')) return lower_graph(s, name, out);
  if (!s->models_dir)
    return braid_fail(BRAID_ENOTFOUND, "'%s' is not in the zoo, and this cloud has no --models directory", name);
  return braid_fail(BRAID_ENOTFOUND, "'%s' is neither in the zoo nor in the cloud's --models directory", name);
}

/* By name or by graph. */
static struct served_model *find(struct served *s, const char *name, const struct braid_graph *graph) {
  pthread_mutex_lock(&s->mutex);
  struct served_model *m = s->model;
  while (m && m->graph != graph && !(name && strcmp(m->name, name) == 0)) m = m->next;
  pthread_mutex_unlock(&s->mutex);
  return m;
}

static void add(struct served *s, struct served_model *m) {
  pthread_mutex_lock(&s->mutex);
  m->next = s->model;
  s->model = m;
  pthread_mutex_unlock(&s->mutex);
}

enum braid_status served_resolve(void *ctx, const char *name, const struct braid_graph **out) {
  struct served *s = ctx;
  const struct served_model *known = find(s, name, NULL);
  if (known) {
    *out = known->graph;
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
  *m = (struct served_model){NULL, copy, graph, NULL};
  add(s, m);
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

/* `name` of the file that keeps it. */
static enum braid_status profile_as(const struct served *s, const char *name, const struct braid_graph *graph,
                                    struct braid_profile **out) {
  struct braid_profile_opts opts = {
      .cpu_flags = s->cpu_flags, .choices = s->choices, .slow = s->slow, .pin = s->pin};
  char path[4096];
  if (s->profiles_dir) snprintf(path, sizeof path, "%s/%s.json", s->profiles_dir, name);
  return served_profile_at(s->profiles_dir ? path : NULL, graph, &opts, s->threads, out);
}

static enum braid_status measure(const struct served *s, struct served_model *m) {
  struct braid_profile *profile;
  BRAID_TRY(profile_as(s, m->name, m->graph, &profile));
  enum braid_status status = braid_profile_to_json(profile, &m->profile);
  braid_profile_destroy(&profile);
  return status;
}

enum braid_status served_profile(void *ctx, const struct braid_graph *graph, struct braid_profile **out) {
  struct served *s = ctx;
  struct served_model *m = find(s, NULL, graph);
  if (!m) { /* an edge brought it, under a name of its own choice */
    char hash[65];
    braid_graph_hash_text(graph, hash);
    return profile_as(s, hash, graph, out);
  }
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
