/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a graph. Everything that lives exactly as long as the graph (names, operand lists, readers, branches)
 * is cut from one arena, so no failure path has anything to free but the graph itself; tables that grow are plain
 * arrays, and weights belong to whoever made them until they are adopted.
 *
 * Operands must exist when a node is added, so ids are a topological order from the first node on. Passes keep it so:
 * they put a fused node where the last node of the fusion stood. Sealing therefore never has to sort, only to close
 * the gaps.
 */
#ifndef MODELS_GRAPH_H
#define MODELS_GRAPH_H

#include "braid/models.h"

enum { MAX_OPERANDS = 64 }; /* what a kernel takes */

struct arena {
  struct arena_chunk *head;
};
/* Zeroed, aligned for any type; NULL when memory is out. */
void *arena_alloc(struct arena *arena, size_t bytes);
void arena_release(struct arena *arena);

struct constant {
  const char *name;
  struct braid_tensor tensor;
};

struct adopted {
  void *memory;
  void (*release)(void *);
};

/* Open hash table from names to operand codes (of nodes and constants alike); BRAID_NONE marks a free slot. */
struct name_index {
  int *slot;
  int capacity, used; /* capacity is a power of two or 0 */
};

struct hash_cache;

struct braid_graph {
  struct arena arena;
  const char *name;
  struct braid_node *node;
  int n_nodes, node_capacity;
  struct constant *constant;
  int n_constants, constant_capacity;
  struct adopted *adopted;
  int n_adopted, adopted_capacity;
  int *input, *output;
  int n_inputs, input_capacity, n_outputs, output_capacity;
  struct name_index names;
  int made_names; /* counter behind names given to nameless tensors */
  bool sealed;
  /* After sealing, in the arena: */
  const int *joint;
  int n_joints;
  const struct braid_block *block;
  int n_blocks;
  const int *branch_of;
  struct hash_cache *hash; /* hash.c; computed on first use, also through a const graph */
};

struct hash_cache {
  bool known; /* guarded by the mutex in hash.c, like the value */
  uint8_t value[32];
};

/* The array with room for `needed` items, moved if need be; NULL (and the old array intact) when memory is out. */
void *array_grown(void *array, int *capacity, int needed, size_t item_bytes);

BRAID_NODISCARD enum braid_status out_of_memory(const struct braid_graph *graph);
/* Finds the operand code of a name; BRAID_NONE when there is none. */
int graph_lookup(const struct braid_graph *graph, const char *name);
/* A copy in the arena: of `name` if that is given, else of `base` with the first free number. */
BRAID_NODISCARD enum braid_status graph_take_name(struct braid_graph *graph, const char *name, const char *base,
                                                  const char **out);
/* Enters the name of the node or constant `code`; graph_take_name has made room for one. */
void graph_enter_name(struct braid_graph *graph, int code);
/* Enters all names anew, after ids have changed to fewer. */
void graph_reindex(struct braid_graph *graph);
/* Shape and type of an operand that is not BRAID_NONE; data for constants, NULL for nodes. */
struct braid_tensor graph_operand(const struct braid_graph *graph, int operand);
/* Gives the node another list of operands. */
BRAID_NODISCARD enum braid_status graph_set_operands(struct braid_graph *graph, int id, const int *in, int n_in);

/* branches.c: fills joints, blocks and branch_of of a graph that is otherwise sealed. */
BRAID_NODISCARD enum braid_status graph_find_branches(struct braid_graph *graph);

#endif
