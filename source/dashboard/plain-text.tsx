// URLs and path, each unbroken by anything but the edge of the screen, to be selected with the mouse.
import {Box, Text} from 'ink';
import type {Download} from '../downstream.ts';
import {cleanText} from './clean-text.ts';

export function PlainText({download, width, height}: {download: Download; width: number; height: number}) {
	const {name, streamUrl, url, folder, exportedTo} = download;
	return (
		<Box flexDirection="column" width={width} height={height}>
			{[cleanText(name), streamUrl, cleanText(url), exportedTo ?? folder, 'any key goes back'].map(line => (
				<Box key={line} marginBottom={1}>
					<Text wrap="hard">{line}</Text>
				</Box>
			))}
		</Box>
	);
}
