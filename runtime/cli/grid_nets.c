/* SPDX-License-Identifier: Apache-2.0 */
#include "grid_nets.h"

#include "plan_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------------- the list */

/* "a/models/mnist8.onnx" is called "models/mnist8": the zoo and folders may have networks of one name. */
static char *name_of(const char *path) {
  size_t n = strlen(path);
  if (n < 5 || strcmp(path + n - 5, ".onnx") != 0) return braid_strdup(path);
  const char *begin = path + n;
  for (int slashes = 0; begin > path && (slashes += begin[-1] == '/') < 2;) begin--;
  char *name = braid_strdup(begin);
  if (name) name[strlen(name) - 5] = '\0';
  return name;
}

static enum braid_status make_room(struct grid_nets *nets) {
  if (nets->n < nets->room) return BRAID_OK;
  size_t room = nets->room ? 2 * (size_t)nets->room : 16;
  struct grid_net *net = braid_realloc(nets->net, room * sizeof *net);
  if (net) nets->net = net;
  char **path = braid_realloc(nets->path, room * sizeof *path);
  if (path) nets->path = path;
  char **name = braid_realloc(nets->name, room * sizeof *name);
  if (name) nets->name = name;
  if (!net || !path || !name) return braid_fail(BRAID_ENOMEM, "no memory for %zu networks", room);
  nets->room = (int)room;
  return BRAID_OK;
}

static enum braid_status append(struct grid_nets *nets, const char *path, const struct grid_net *net) {
  BRAID_TRY(make_room(nets));
  char *copy = braid_strdup(path), *name = name_of(path);
  if (!copy || !name) {
    braid_free(copy);
    braid_free(name);
    return braid_fail(BRAID_ENOMEM, "no memory for %s", path);
  }
  nets->net[nets->n] = *net;
  nets->path[nets->n] = copy;
  nets->name[nets->n++] = name;
  return BRAID_OK;
}

void grid_nets_close(struct grid_nets *nets) {
  for (int i = 0; i < nets->n; i++) {
    grid_net_free(&nets->net[i]);
    braid_free(nets->path[i]);
    braid_free(nets->name[i]);
  }
  braid_free(nets->net);
  braid_free(nets->path);
  braid_free(nets->name);
  *nets = (struct grid_nets){0};
}

/* ---------------------------------------------------------------------------------------------------- twins */

static bool same_node(const struct braid_node *a, const struct braid_node *b) {
  return a->op == b->op && a->n_in == b->n_in && a->dtype == b->dtype && a->macs == b->macs && a->bytes == b->bytes &&
         a->shape.rank == b->shape.rank &&
         memcmp(a->shape.dim, b->shape.dim, (size_t)a->shape.rank * sizeof(int)) == 0 && a->slices_max == b->slices_max;
}

/* Constants may be numbered otherwise; which nodes feed it is what counts. */
static bool same_operands(const struct braid_node *a, const struct braid_node *b) {
  for (int i = 0; i < a->n_in; i++)
    if (braid_is_node(a->in[i]) != braid_is_node(b->in[i]) || (braid_is_node(a->in[i]) && a->in[i] != b->in[i]))
      return false;
  return true;
}

static bool are_twins(const struct braid_graph *a, const struct braid_graph *b) {
  if (braid_graph_size(a) != braid_graph_size(b)) return false;
  for (int v = 0; v < braid_graph_size(a); v++) {
    const struct braid_node *x = braid_graph_node(a, v), *y = braid_graph_node(b, v);
    if (!same_node(x, y) || !same_operands(x, y)) return false;
  }
  return true;
}

static const char *twin_of(const struct grid_nets *nets, const struct braid_graph *graph) {
  for (int i = 0; i < nets->n; i++)
    if (are_twins(nets->net[i].graph, graph)) return nets->name[i];
  return NULL;
}

/* -------------------------------------------------------------------------------------------------- opening */

/* Takes the graph. */
static enum braid_status add(struct grid_nets *nets, const struct grid_nets_opts *o, const char *path,
                             struct braid_graph *graph) {
  struct braid_profile *profile = NULL;
  struct grid_net net = {0};
  enum braid_status status = o->edge ? profile_file_read(o->edge, graph, &profile) : BRAID_OK;
  if (status == BRAID_OK) status = grid_net_create(graph, o->edge_gflops, profile ? profile->node_ns : NULL, &net);
  braid_profile_destroy(&profile);
  if (status != BRAID_OK) {
    braid_graph_destroy(&graph);
    return status;
  }
  status = append(nets, path, &net);
  if (status != BRAID_OK) grid_net_free(&net);
  return status;
}

static int open_model(struct grid_nets *nets, const struct grid_nets_opts *o, const char *path) {
  struct braid_graph *graph = NULL;
  int exit = cli_open_model(path, 1, &graph);
  if (exit != CLI_DONE) return exit;
  return add(nets, o, path, graph) == BRAID_OK ? CLI_DONE : cli_fail(o->edge ? CLI_BAD_INPUT : CLI_FAILED);
}

static int open_of_folder(struct grid_nets *nets, const struct grid_nets_opts *o, const char *path) {
  struct braid_open_opts opts = {.batch = 1};
  struct braid_graph *graph = NULL;
  if (braid_model_open(path, &opts, &graph) != BRAID_OK) {
    fprintf(stderr, "braid: left out: %s\n", braid_error());
    return CLI_DONE;
  }
  const char *twin = twin_of(nets, graph);
  if (!twin) return add(nets, o, path, graph) == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
  fprintf(stderr, "braid: left out: %s plans like %s\n", path, twin);
  braid_graph_destroy(&graph);
  return CLI_DONE;
}

static int is_onnx(const struct dirent *entry) {
  size_t n = strlen(entry->d_name);
  return n > 5 && strcmp(entry->d_name + n - 5, ".onnx") == 0;
}

static int open_folder(struct grid_nets *nets, const struct grid_nets_opts *o, const char *folder) {
  struct dirent **entry = NULL;
  int exit = CLI_DONE, n = scandir(folder, &entry, is_onnx, alphasort);
  if (n < 0) return cli_usage("--models %s: %s", folder, strerror(errno));
  for (int i = 0; i < n; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
    if (exit == CLI_DONE) exit = open_of_folder(nets, o, path);
    free(entry[i]);
  }
  free(entry);
  return exit;
}

int grid_nets_open(const struct grid_nets_opts *o, struct grid_nets *out) {
  int n_zoo = 0, exit = CLI_DONE;
  const struct braid_zoo_entry *zoo = braid_zoo(&n_zoo);
  *out = (struct grid_nets){0};
  if (o->edge && (o->n_models != 1 || o->folders->n > 0))
    return cli_usage("bench plan: --edge is the profile of one network; name one MODEL");
  int n = o->n_models > 0 ? o->n_models : n_zoo;
  for (int i = 0; i < n && exit == CLI_DONE; i++)
    exit = open_model(out, o, o->n_models > 0 ? o->model[i] : zoo[i].name);
  for (int i = 0; i < o->folders->n && exit == CLI_DONE; i++) exit = open_folder(out, o, o->folders->item[i]);
  if (exit != CLI_DONE) grid_nets_close(out);
  return exit;
}
