"""What a data set gives away beside the disease: shortcuts to the label, and what makes scores too good."""
