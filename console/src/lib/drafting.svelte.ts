// A change of the configuration that is not in force yet. It lasts as long as the page, whatever is looked at meanwhile and whether the
// gate answers or not, for whoever began it alone. It is not kept on the device: an owner's text has addresses that open something.

import { me } from './session.svelte';

interface Draft {
  who: string;
  text: string;
  /** Of the file that it was made from: where somebody has changed that, nothing is done. */
  base: string;
}

let draft = $state.raw<Draft | null>(null);

export const drafting = {
  get draft(): { text: string; base: string } | null {
    return draft && draft.who === me.person?.name ? draft : null;
  },
};

/** Goes on from a text. What was begun from an earlier file stays so. */
export function begin(text: string, digest: string): void {
  draft = { who: me.person?.name ?? '', text, base: drafting.draft?.base ?? digest };
}

export function forget(): void {
  draft = null;
}
