// Dates of HTTP header fields. Pure.

/**
 * Milliseconds between the modification of a file and a response. With less, the file may change again within the same
 * second, or two clocks of the origin may differ.
 */
const strongDateMs = 60_000;

/**
 * Milliseconds since the epoch; NaN, for which every comparison is false, if this is not an HTTP-date (RFC 9110 section
 * 5.6.7).
 */
export function parseHttpDate(value: string | undefined): number {
	if (value === undefined || !/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(value)) {
		return NaN;
	}

	// The asctime form has no zone and means GMT; Date.parse would assume local time.
	return Date.parse(value.endsWith('GMT') ? value : `${value} GMT`);
}

/** Whether Last-Modified is a strong validator of a response with this Date (RFC 9110 section 8.8.2.2). */
export function isStrongDate(lastModified: string | undefined, date: string | undefined): boolean {
	return parseHttpDate(date) - parseHttpDate(lastModified) >= strongDateMs;
}
