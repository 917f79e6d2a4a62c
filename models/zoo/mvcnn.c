/* SPDX-License-Identifier: Apache-2.0
 *
 * Multi-view networks: four cameras look at one object, each image goes through the same trunk (one set of weights),
 * the largest value of each feature over the views goes into one classifier (MVCNN; 40 classes as in ModelNet40). The
 * four views are branches over the whole network.
 */
#include "builder.h"

#include <stdio.h>

enum { VIEWS = 4, CLASSES = 40 };

static void mvcnn(struct zoo *z, int (*features)(struct zoo *z, int image)) {
  int view[VIEWS];
  for (int v = 0; v < VIEWS; v++) {
    char name[16], prefix[16];
    snprintf(name, sizeof name, "view%d", v);
    snprintf(prefix, sizeof prefix, "view%d.", v);
    zoo_prefix(z, prefix);
    view[v] = features(z, zoo_image(z, name, 224, ZOO_IMAGENET));
  }
  zoo_prefix(z, "");
  int x = zoo_max(z, "fused", view, VIEWS);
  zoo_output(z, zoo_dense(z, x, "head", "output", CLASSES, ZOO_GAIN_LINEAR));
}

void zoo_mvcnn4_googlenet(struct zoo *z) {
  mvcnn(z, zoo_googlenet_features);
}
void zoo_mvcnn4_resnet18(struct zoo *z) {
  mvcnn(z, zoo_resnet18_features);
}
