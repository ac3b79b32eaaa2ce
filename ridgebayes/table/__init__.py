"""The ScW rate table: data class, file formats, validation and summary."""
