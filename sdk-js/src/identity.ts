// Who the site says its visitor is. In memory only: the gateway ties the user id to the
// visitor's cookie, so later pages need no copy here.

export let userId: string | undefined;

export function set(id: unknown): void {
  userId = id == null || id === '' ? undefined : String(id);
}
