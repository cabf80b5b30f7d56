// The first sentence of the first screen, which the window's title says, too.

import type { Headline } from './story';
import { many, t } from './words.svelte';

export function sentence({ is, platform }: Headline, platforms: number): string {
  return is === 'normal' ? many('hero.normal', platforms) : t(`hero.${is}`, { platform: platform?.name ?? '' });
}
