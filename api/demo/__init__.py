"""A fictional retailer's customers, the seven channels that know them, and `aurea demo`."""
