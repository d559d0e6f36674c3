// What flags are if they are not given; the help text shows them.

export const defaults = {port: 8080, connections: 4, maxActive: 3, readAhead: '16M'} as const;
