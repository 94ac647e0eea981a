// The shop's own script: a cart in this tab, three calls to the tag, and one question to the gateway.
const gateway = document.currentScript.dataset.gateway;
const $ = (id) => document.getElementById(id);
const cart = JSON.parse(sessionStorage.cart || '[]');
const total = cart.reduce((sum, line) => sum + line.price, 0);

// Calls made before the tag has arrived wait for it here.
window.tidegate = window.tidegate || function () { (tidegate.q = tidegate.q || []).push(arguments); };

function save(lines) {
  sessionStorage.cart = JSON.stringify(lines);
  count(lines.length);
}

function count(n) {
  $('count').hidden = !n;
  $('count').textContent = n;
}

document.addEventListener('click', ({ target }) => {
  const { add: product, name, price, plan } = target.dataset || {};
  if (product) {
    cart.push({ product, name, price: Number(price) });
    save(cart);
    tidegate('track', 'Product Added', { product, price: Number(price) });
    target.textContent = 'Added. Once more?';
  }
  if (plan) {
    tidegate('track', 'Plan Chosen', { plan });
    target.textContent = 'Noted!';
  }
});

if ($('total')) {
  $('total').hidden = !cart.length;
  $('total').textContent = `Total $${total}`;
}
if ($('lines')) {
  $('empty').hidden = cart.length > 0;
  $('go').hidden = $('wait').hidden = !cart.length;
  for (const { name, price } of cart) {
    const line = $('lines').appendChild(document.createElement('li'));
    line.append(Object.assign(document.createElement('span'), { textContent: name }), `$${price}`);
  }
}
if ($('checkout')) {
  $('checkout').addEventListener('submit', (event) => {
    event.preventDefault();
    const email = $('email').value;
    tidegate('identify', email, { email });
    tidegate('track', 'Order Completed', { revenue: total, items: cart.length });
    save([]);
    $('checkout').closest('section').hidden = true;
    $('thanks').hidden = false;
    $('thanks').focus();
  });
}
count(cart.length);

// Personalization: which segments is this visitor in, right now? The cookie says who asks.
async function refresh() {
  if (document.visibilityState === 'hidden') return;
  try {
    const answer = await fetch(`${gateway}/v1/segments?writeKey=demo`, { credentials: 'include' });
    if (!answer.ok) throw new Error(answer.status);
    const { segments } = await answer.json();
    const chips = segments.map((name) => Object.assign(document.createElement('b'), { textContent: name }));
    if (chips.map((c) => c.textContent).join() !== $('segments').dataset.shown) {
      $('segments').replaceChildren(...(chips.length ? chips : ['nothing yet']));
      $('segments').dataset.shown = chips.map((c) => c.textContent).join();
    }
  } catch {
    $('segments').textContent = 'the gateway does not answer';
    $('segments').dataset.shown = '?';
  }
}
setTimeout(refresh, 400);
setInterval(refresh, 2000);
