"""The commands of ``tinygrad-edu``: the one place where engine, nn and viz come together."""
