// An id that somebody typed, as one segment of a path of the API, whatever is in it.

/** A path of dots would be another path. */
export const segment = (id: string): string => (/^\.*$/.test(id) ? '-' : encodeURIComponent(id))
