"""From files to arrays: slices, data sets, folds, augmentation, and the generated phantom."""
