"""Region files shipped with ridgebayes."""
