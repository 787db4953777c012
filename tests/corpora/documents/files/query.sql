-- остатки
select * from stock where store = 'ƒзержинск'