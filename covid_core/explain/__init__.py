"""Where a network looks: Grad-CAM, the mask statistic, activation maps."""
