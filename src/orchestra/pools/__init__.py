"""Where pilots come from that are started when there is work: pools and the engines behind them."""
