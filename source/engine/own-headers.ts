// Headers that belong to the request or the connection. Pure.

/** Names of what the program sets itself. */
export const ownHeaders =
	/^(?:host|range|content-length|transfer-encoding|connection|keep-alive|upgrade|expect|accept-encoding)$/i;
