"""A bar for each figure, as an SVG file."""
import html

LEFT, WIDTH, HEIGHT = 190, 460, 26


def bars(path, figures, title):
    most = max(figures.values())
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 70}" height="{HEIGHT * len(figures) + 44}" '
             'font-family="sans-serif" font-size="13">', f'<text x="{LEFT}" y="20">{html.escape(title)}</text>']
    for i, (name, value) in enumerate(figures.items()):
        y, wide = 32 + i * HEIGHT, WIDTH * value / most
        lines += [f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{html.escape(name)}</text>',
                  f'<rect x="{LEFT}" y="{y}" width="{wide:.1f}" height="{HEIGHT - 6}" fill="#3b6ea5"/>',
                  f'<text x="{LEFT + wide + 6:.1f}" y="{y + 15}">{value:.0f}</text>']
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n</svg>\n")
