//! Takes audio from sources, one task for each recording; owns what is durable and publishes the tails.
