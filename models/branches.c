/* SPDX-License-Identifier: Apache-2.0
 *
 * Joints, blocks and branches.
 *
 * Lay the nodes out in topological order between a virtual source (before all) and a virtual sink (behind all). A node
 * is on every path from source to sink exactly if no edge leaps over it: an edge (u,w) with u < v < w extends to a path
 * that avoids v, since the rest of it runs left of u and right of w; and a path that avoids v must leap over it. So one
 * scan that remembers how far the edges seen so far reach finds all joints, and what lies between two neighbouring
 * joints in the order is their block. Its connected components are its branches; each is laid out and scanned in the
 * same way, with the block's joints as source and sink.
 *
 * Every level of nesting looks at each of its edges a fixed number of times. Real networks nest a few levels deep;
 * MAX_DEPTH keeps hostile ones from making this quadratic or exhausting the stack: deeper forks stay undivided.
 */
#include "graph.h"

#include <string.h>

enum { MAX_DEPTH = 128, VIRTUAL = -1 };

/* What lies between two joints, in order: nodes at places 0..n-1, the entry at place -1, the exit at place n. */
struct piece {
  const int *node;
  int n;
  int entry, exit; /* ids or VIRTUAL */
};

struct finder {
  struct braid_graph *graph;
  int *place;     /* of each node, in the innermost piece it has been laid out in so far */
  int *component; /* union-find over places; later the number of the component */
  int *branch_of;
  int n_branches;
};

static int last_node_operand(const struct braid_node *node) {
  int last = -1;
  for (int k = 0; k < node->n_in; k++)
    if (node->in[k] > last) last = node->in[k];
  return last;
}

static bool reads(const struct braid_node *node, int id) {
  for (int k = 0; k < node->n_in; k++)
    if (node->in[k] == id) return true;
  return false;
}

/* Is there an edge from the piece's entry to the node? Whatever reads no node is fed by the virtual source. */
static bool fed_by(const struct braid_graph *graph, int entry, int id) {
  const struct braid_node *node = &graph->node[id];
  return entry == VIRTUAL ? last_node_operand(node) < 0 : reads(node, entry);
}

/* How far edges out of the node reach. Its readers are in the piece, or the exit, which is the last of them. */
static int reach(const struct finder *f, const struct piece *p, int id) {
  const struct braid_node *node = &f->graph->node[id];
  int last = node->n_readers ? node->reader[node->n_readers - 1] : VIRTUAL;
  if (p->exit == VIRTUAL && node->is_output) return p->n;
  return last == p->exit ? p->n : f->place[last];
}

/* Places of the joints, from -1 (entry) to n (exit), both included. */
static int find_joints(struct finder *f, const struct piece *p, int *joint) {
  int n_joints = 0, farthest = -1;
  for (int i = 0; i < p->n; i++) f->place[p->node[i]] = i;
  for (int i = 0; i < p->n; i++)
    if (fed_by(f->graph, p->entry, p->node[i])) farthest = i;
  joint[n_joints++] = -1;
  for (int i = 0; i < p->n; i++) {
    if (farthest <= i) joint[n_joints++] = i;
    int r = reach(f, p, p->node[i]);
    if (r > farthest) farthest = r;
  }
  joint[n_joints++] = p->n;
  return n_joints;
}

/* ------------------------------------------------------------------------------------------- components */

static int find_root(int *parent, int id) {
  while (parent[id] != id) id = parent[id] = parent[parent[id]];
  return id;
}

/* Numbers the connected components of the piece, by their first nodes, and counts them. */
static int number_components(struct finder *f, const struct piece *p) {
  int *parent = f->component, n = 0;
  for (int i = 0; i < p->n; i++) parent[p->node[i]] = p->node[i];
  for (int i = 0; i < p->n; i++) {
    const struct braid_node *node = &f->graph->node[p->node[i]];
    for (int k = 0; k < node->n_in; k++) {
      if (!braid_is_node(node->in[k]) || node->in[k] == p->entry) continue;
      int a = find_root(parent, node->in[k]), b = find_root(parent, p->node[i]);
      /* The smaller id is the root, so a component's first node stands for it. */
      if (a < b) parent[b] = a;
      else parent[a] = b;
    }
  }
  for (int i = 0; i < p->n; i++) {
    int id = p->node[i], root = find_root(parent, id);
    f->place[id] = root == id ? n++ : f->place[root];
  }
  for (int i = 0; i < p->n; i++) f->component[p->node[i]] = f->place[p->node[i]];
  return n;
}

static bool has_direct_edge(const struct braid_graph *graph, int entry, int exit) {
  if (exit == VIRTUAL) return entry != VIRTUAL && graph->node[entry].is_output;
  return fed_by(graph, entry, exit);
}

static enum braid_status divide(struct finder *f, const struct piece *p, int depth, const struct braid_block **blocks,
                                int *n_blocks);

/* One array for the nodes of all branches, filled component after component. */
static enum braid_status fill_branches(struct finder *f, const struct piece *p, struct braid_branch *branch,
                                       int n_components) {
  int *list = arena_alloc(&f->graph->arena, (size_t)p->n * sizeof *list);
  int **next = braid_malloc((size_t)n_components * sizeof *next);
  if (!list || !next) {
    braid_free(next);
    return out_of_memory(f->graph);
  }
  for (int i = 0; i < p->n; i++) branch[f->component[p->node[i]]].n_nodes++;
  for (int c = 0; c < n_components; c++) {
    branch[c].node = next[c] = list;
    list += branch[c].n_nodes;
  }
  for (int i = 0; i < p->n; i++) *next[f->component[p->node[i]]]++ = p->node[i];
  braid_free(next);
  return BRAID_OK;
}

/* Lists the piece as a block if it has several branches, and divides each of them. */
static enum braid_status list_block(struct finder *f, const struct piece *p, int depth, struct braid_block *block,
                                    bool *listed) {
  bool direct = has_direct_edge(f->graph, p->entry, p->exit);
  int n_components = number_components(f, p), n = n_components + direct;
  *listed = n > 1;
  if (!*listed) return BRAID_OK;
  struct braid_branch *branch = arena_alloc(&f->graph->arena, (size_t)n * sizeof *branch);
  if (!branch) return out_of_memory(f->graph);
  BRAID_TRY(fill_branches(f, p, branch, n_components));
  for (int c = 0; c < n; c++) {
    f->n_branches++;
    for (int i = 0; i < branch[c].n_nodes; i++) f->branch_of[branch[c].node[i]] = f->n_branches;
    struct piece inner = {branch[c].node, branch[c].n_nodes, p->entry, p->exit};
    if (depth < MAX_DEPTH) BRAID_TRY(divide(f, &inner, depth + 1, &branch[c].block, &branch[c].n_blocks));
  }
  *block = (struct braid_block){p->entry, p->exit, n, branch};
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- dividing */

struct block_list {
  struct braid_block *block;
  int n, capacity;
};

static int id_at(const struct piece *p, int place) {
  if (place < 0) return p->entry;
  return place < p->n ? p->node[place] : p->exit;
}

static enum braid_status list_blocks(struct finder *f, const struct piece *p, int depth, const int *joint,
                                     int n_joints, struct block_list *list) {
  for (int j = 0; j + 1 < n_joints; j++) {
    int first = joint[j] + 1;
    struct piece inner = {p->node + first, joint[j + 1] - first, id_at(p, joint[j]), id_at(p, joint[j + 1])};
    struct braid_block *grown = array_grown(list->block, &list->capacity, list->n + 1, sizeof *grown);
    if (!grown) return out_of_memory(f->graph);
    list->block = grown;
    bool listed;
    BRAID_TRY(list_block(f, &inner, depth, &list->block[list->n], &listed));
    list->n += listed;
  }
  return BRAID_OK;
}

static enum braid_status keep_blocks(struct finder *f, const struct block_list *list,
                                     const struct braid_block **blocks, int *n_blocks) {
  struct braid_block *copy = arena_alloc(&f->graph->arena, (size_t)list->n * sizeof *copy);
  if (!copy) return out_of_memory(f->graph);
  if (list->n > 0) memcpy(copy, list->block, (size_t)list->n * sizeof *copy);
  *blocks = copy;
  *n_blocks = list->n;
  return BRAID_OK;
}

/* The blocks between the joints of a piece. A piece without joints inside is one component between its ends. */
static enum braid_status divide(struct finder *f, const struct piece *p, int depth, const struct braid_block **blocks,
                                int *n_blocks) {
  struct block_list list = {0};
  int *joint = braid_malloc(((size_t)p->n + 2) * sizeof *joint);
  enum braid_status status = joint ? BRAID_OK : out_of_memory(f->graph);
  int n_joints = joint ? find_joints(f, p, joint) : 0;
  if (status == BRAID_OK && (n_joints > 2 || depth == 0)) status = list_blocks(f, p, depth, joint, n_joints, &list);
  if (status == BRAID_OK) status = keep_blocks(f, &list, blocks, n_blocks);
  braid_free(list.block);
  braid_free(joint);
  return status;
}

/* ------------------------------------------------------------------------------------- the whole network */

/* All nodes but inputs that nobody reads: those are on no path. Returns how many sources there are. */
static int lay_out(const struct braid_graph *graph, int *node, int *n) {
  int n_sources = 0;
  for (int id = 0; id < graph->n_nodes; id++) {
    if (graph->node[id].n_readers == 0 && !graph->node[id].is_output) continue;
    node[(*n)++] = id;
    n_sources += last_node_operand(&graph->node[id]) < 0;
  }
  return n_sources;
}

/* A virtual end is a joint only if there are several real ones. */
static enum braid_status keep_joints(struct finder *f, const struct piece *p, int n_sources, const int *place,
                                     int n_places) {
  int *joint = arena_alloc(&f->graph->arena, (size_t)n_places * sizeof *joint);
  if (!joint) return out_of_memory(f->graph);
  int n = 0;
  if (n_sources > 1) joint[n++] = VIRTUAL;
  for (int j = 1; j + 1 < n_places; j++) joint[n++] = p->node[place[j]];
  if (f->graph->n_outputs > 1) joint[n++] = VIRTUAL;
  f->graph->joint = joint;
  f->graph->n_joints = n;
  return BRAID_OK;
}

static enum braid_status find_all(struct finder *f, int *node, int *joint) {
  struct piece all = {node, 0, VIRTUAL, VIRTUAL};
  int n_sources = lay_out(f->graph, node, &all.n);
  int n_joints = find_joints(f, &all, joint);
  BRAID_TRY(keep_joints(f, &all, n_sources, joint, n_joints));
  BRAID_TRY(divide(f, &all, 0, &f->graph->block, &f->graph->n_blocks));
  f->graph->branch_of = f->branch_of;
  return BRAID_OK;
}

enum braid_status graph_find_branches(struct braid_graph *graph) {
  size_t bytes = ((size_t)graph->n_nodes + 2) * sizeof(int);
  struct finder f = {graph, braid_malloc(bytes), braid_malloc(bytes), arena_alloc(&graph->arena, bytes), 0};
  int *node = braid_malloc(bytes), *joint = braid_malloc(bytes);
  bool ready = f.place && f.component && f.branch_of && node && joint;
  enum braid_status status = ready ? find_all(&f, node, joint) : out_of_memory(graph);
  braid_free(f.place);
  braid_free(f.component);
  braid_free(node);
  braid_free(joint);
  return status;
}
